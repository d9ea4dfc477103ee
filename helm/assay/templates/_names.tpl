{{- define "assay.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "assay.fullname" -}}
{{- $name := include "assay.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The prefix, and for the parts of a fleet what they do. Takes root and component. */}}
{{- define "assay.componentname" -}}
{{- $full := include "assay.fullname" .root -}}
{{- eq .component "all" | ternary $full (printf "%s-%s" $full .component) -}}
{{- end -}}

{{- define "assay.serviceaccount" -}}
{{- .Values.serviceAccount.name | default (include "assay.fullname" .) -}}
{{- end -}}

{{/* Where people reach the pages. */}}
{{- define "assay.url" -}}
{{- if .Values.prometheusRule.assayUrl -}}
{{- .Values.prometheusRule.assayUrl -}}
{{- else if and .Values.ingress.enabled .Values.ingress.hosts -}}
{{- printf "%s://%s%s" (empty .Values.ingress.tls | ternary "http" "https") (first .Values.ingress.hosts) (trimSuffix "/" .Values.ingress.path) -}}
{{- else -}}
{{- printf "%s://%s.%s.svc:%v" (ternary "https" "http" .Values.webConfig.https) (include "assay.fullname" .) .Release.Namespace .Values.service.port -}}
{{- end -}}
{{- end -}}

{{/* What runs in this mode, and which of it serves the pages. */}}
{{- define "assay.components" -}}
{{- eq .Values.mode "fleet" | ternary "score serve" "all" -}}
{{- end -}}
{{- define "assay.server" -}}
{{- eq .Values.mode "fleet" | ternary "serve" "all" -}}
{{- end -}}

{{/* Immutable in workloads: nothing here may depend on version or values other than names. Takes root and component. */}}
{{- define "assay.selector" -}}
app.kubernetes.io/name: {{ include "assay.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* Takes root and, for what belongs to one, component. */}}
{{- define "assay.labels" -}}
{{ include "assay.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
The metadata of an object. Takes root, name and, where there are some, component, labels, annotations, namespace. Every
object begins with it, so whichever Helm renders first finds out whether the values fit together.
*/}}
{{- define "assay.metadata" -}}
{{- include "assay.validate" .root -}}
name: {{ .name | quote }}
namespace: {{ .namespace | default .root.Release.Namespace | quote }}
labels:
  {{- include "assay.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "assay.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
