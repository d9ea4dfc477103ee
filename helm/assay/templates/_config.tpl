{{/*
The daemon's configuration for one component, as YAML: what the values say, and `config` over it. The server loads
no model, and reaches brokers only to send evaluations, so it gets no more of their secrets and files than that needs.
Takes root and component.
*/}}
{{- define "assay.config" -}}
{{- $values := .root.Values -}}
{{- $chain := dict -}}
{{- with $values.chain -}}
{{- with .url }}{{ $_ := set $chain "url" . }}{{ end -}}
{{- with .s3Region }}{{ $_ := set $chain "s3_region" . }}{{ end -}}
{{- with .s3Endpoint }}{{ $_ := set $chain "s3_endpoint" . }}{{ end -}}
{{- if .s3AllowHttp }}{{ $_ := set $chain "s3_allow_http" true }}{{ end -}}
{{- if .existingSecret -}}
{{- $_ := set $chain "s3_access_key_id" (dict "file" "/etc/assay/s3/access-key-id") -}}
{{- $_ := set $chain "s3_secret_access_key" (dict "file" "/etc/assay/s3/secret-access-key") -}}
{{- end -}}
{{- end -}}
{{- $config := dict "role" .component "data" "/var/lib/assay" "chain" $chain "metrics" (dict "host" "0.0.0.0" "port" 9464) -}}
{{- if $values.otlp.enabled -}}
{{- $_ := set $config "source" (dict "otlp" (dict "host" "0.0.0.0" "port" 4318)) -}}
{{- else -}}
{{- $_ := set $config "source" (dict "kafka" (include "assay.config.kafka" $values.kafka | fromYaml)) -}}
{{- end -}}
{{- if $values.webConfig.existingSecret -}}
{{- $file := printf "/etc/assay/web/%s" $values.webConfig.key -}}
{{- $_ := set $config.metrics "web_config_file" $file -}}
{{- if $values.otlp.enabled }}{{ $_ := set $config.source.otlp "web_config_file" $file }}{{ end -}}
{{- end -}}
{{- if and $values.access.existingSecret (ne .component "score") -}}
{{- $_ := set $config "sql" (dict "access" (dict "users_file" "/etc/assay/access/sql.yaml")) -}}
{{- $_ := set $config "evidence" (dict "access" (dict "users_file" "/etc/assay/access/evidence.yaml")) -}}
{{- end -}}
{{- if and $values.alertmanager.url (ne .component "score") -}}
{{- $evidence := $config.evidence | default dict -}}
{{- $_ := set $evidence "alertmanager" (include "assay.config.alertmanager" $values.alertmanager | fromYaml) -}}
{{- $_ := set $config "evidence" $evidence -}}
{{- end -}}
{{- if ne .component "serve" -}}
{{- $part := get $values .component -}}
{{- $signals := dict "workers" (include "assay.cpus" $part.resources | int) -}}
{{- if $part.gpu.count }}{{ $_ := set $signals "device" "cuda" }}{{ end -}}
{{- if include "assay.detoxify" .root }}{{ $_ := set $signals "detoxify" "/etc/assay/detoxify" }}{{ end -}}
{{- $_ := set $config "signals" $signals -}}
{{- end -}}
{{- $config = mergeOverwrite $config (deepCopy $values.config) -}}
{{- if not (include "assay.brokers" .) -}}
{{- with $config.source.kafka }}{{ $_ := set $config.source "kafka" (omit . "sasl" "tls") }}{{ end -}}
{{- end -}}
{{- if eq .component "serve" -}}
{{- $_ := set $config "signals" (omit ($config.signals | default dict) "detoxify") -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Whether a component speaks with brokers: workers read from them, and who serves may send evaluations to them. */}}
{{- define "assay.brokers" -}}
{{- $sends := dig "export" "evaluations" "topic" "" .root.Values.config -}}
{{- if and .root.Values.kafka.brokers (or (ne .component "serve") $sends) }}true{{ end -}}
{{- end -}}

{{- define "assay.config.kafka" -}}
{{- $kafka := dict "brokers" .brokers "traces_topics" .tracesTopics "logs_topics" .logsTopics "group" .group "start" .start -}}
{{- with .deadLetterTopic }}{{ $_ := set $kafka "dead_letter_topic" . }}{{ end -}}
{{- if .sasl.mechanism -}}
{{- $sasl := dict "mechanism" .sasl.mechanism -}}
{{- if eq .sasl.mechanism "OAUTHBEARER" -}}
{{- $_ := set $sasl "token" (dict "file" "/etc/assay/kafka-sasl/token") -}}
{{- else -}}
{{- $_ := set $sasl "username" .sasl.username -}}
{{- $_ := set $sasl "password" (dict "file" "/etc/assay/kafka-sasl/password") -}}
{{- end -}}
{{- $_ := set $kafka "sasl" $sasl -}}
{{- end -}}
{{- if .tls.enabled -}}
{{- $tls := dict "verify_hostname" .tls.verifyHostname -}}
{{- if .tls.existingSecret -}}
{{- if .tls.caKey }}{{ $_ := set $tls "ca_file" "/etc/assay/kafka-tls/ca.crt" }}{{ end -}}
{{- if .tls.certificateKey -}}
{{- $_ := set $tls "certificate_file" "/etc/assay/kafka-tls/tls.crt" -}}
{{- $_ := set $tls "key_file" "/etc/assay/kafka-tls/tls.key" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $kafka "tls" $tls -}}
{{- end -}}
{{- toYaml $kafka -}}
{{- end -}}

{{- define "assay.config.alertmanager" -}}
{{- $it := dict "url" .url -}}
{{- if .username -}}
{{- $_ := set $it "username" .username -}}
{{- $_ := set $it "password" (dict "file" "/etc/assay/alertmanager/password") -}}
{{- end -}}
{{- if .tokenKey }}{{ $_ := set $it "bearer_token" (dict "file" "/etc/assay/alertmanager/token") }}{{ end -}}
{{- if .caKey }}{{ $_ := set $it "ca_file" "/etc/assay/alertmanager/ca.crt" }}{{ end -}}
{{- toYaml $it -}}
{{- end -}}

{{/* Not empty where a Detoxify directory is brought along. Takes the root. */}}
{{- define "assay.detoxify" -}}
{{- .Values.detoxify.existingClaim | default .Values.detoxify.image -}}
{{- end -}}

{{/* Whole CPUs of a container's limit, or else of its request; at least 1. Without either, 0: Assay looks for itself. */}}
{{- define "assay.cpus" -}}
{{- $limits := .limits | default dict -}}
{{- $requests := .requests | default dict -}}
{{- $cpu := toString ($limits.cpu | default ($requests.cpu | default "0")) -}}
{{- if hasSuffix "m" $cpu -}}
{{- max 1 (div (trimSuffix "m" $cpu | int) 1000) -}}
{{- else if eq $cpu "0" -}}
0
{{- else -}}
{{- max 1 (floor (float64 $cpu)) -}}
{{- end -}}
{{- end -}}
