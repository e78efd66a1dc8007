{{- define "telos.fullname" -}}
{{- if contains "telos" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-telos" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "telos.selectorLabels" -}}
app.kubernetes.io/name: telos
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "telos.labels" -}}
{{ include "telos.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "telos.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* What the JavaScript heap may grow to, in MiB: the rest of the memory is for buffers, code and threads. */}}
{{- define "telos.heapMiB" -}}
{{- $limit := .Values.resources.limits.memory -}}
{{- $mib := trimSuffix "Mi" $limit | trimSuffix "Gi" | int -}}
{{- if hasSuffix "Gi" $limit }}{{ $mib = mul $mib 1024 }}{{ end -}}
{{ div (mul $mib 60) 100 }}
{{- end }}

{{- define "telos.subjects" -}}
- kind: ServiceAccount
  name: {{ include "telos.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* Pods, and shards of the work: only telling hooks is divided. */}}
{{- define "telos.replicas" -}}
{{ include "telos.divided" (dict "mode" .Values.mode "name" "replicas" "given" .Values.replicas "companion" 2) }}
{{- end }}

{{- define "telos.shards" -}}
{{ include "telos.divided" (dict "mode" .Values.mode "name" "shards" "given" .Values.shards "companion" 4) }}
{{- end }}

{{- define "telos.divided" -}}
{{- if kindIs "invalid" .given }}{{ ternary .companion 1 (eq .mode "companion") }}
{{- else if and (eq .mode "standalone") (gt (int .given) 1) }}{{ fail (printf "%s: in mode standalone one Pod takes the events and runs the Tasks: leave it out, or set it to 1" .name) }}
{{- else }}{{ int .given }}
{{- end }}
{{- end }}
