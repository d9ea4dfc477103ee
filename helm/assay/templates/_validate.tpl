{{/* What values forbid each other; every problem is told at once. Types and names are values.schema.json's. */}}
{{- define "assay.validate" -}}
{{- $said := list -}}
{{- $v := .Values -}}
{{- $fleet := eq $v.mode "fleet" -}}
{{- $sasl := $v.kafka.sasl -}}
{{- $tls := $v.kafka.tls -}}
{{- if and $fleet (not $v.chain.url) -}}
{{- $said = append $said "chain.url: mode fleet needs a bucket that all its pods share: s3://bucket/prefix, gs://… or az://…" -}}
{{- end -}}
{{- if and $fleet $v.otlp.enabled -}}
{{- $said = append $said "otlp.enabled: the receiver's log is one pod's; mode fleet reads Kafka" -}}
{{- end -}}
{{- if and (not $v.kafka.brokers) (not $v.otlp.enabled) -}}
{{- $said = append $said "kafka.brokers: name at least one broker as host:port, or set otlp.enabled" -}}
{{- end -}}
{{- if and $v.kafka.brokers $v.otlp.enabled -}}
{{- $said = append $said "otlp.enabled: choose one source; kafka.brokers names another" -}}
{{- end -}}
{{- if and (not $fleet) (not $v.chain.url) (not $v.persistence.enabled) -}}
{{- $said = append $said "persistence.enabled: without chain.url the volume holds the only copy of the counts; keep it, or set chain.url" -}}
{{- end -}}
{{- if and $v.otlp.enabled (not $v.persistence.enabled) -}}
{{- $said = append $said "persistence.enabled: the receiver's durable log lies on the volume; keep it" -}}
{{- end -}}
{{- if and $v.score.hpa.enabled $v.score.keda.enabled -}}
{{- $said = append $said "score.hpa.enabled: KEDA makes an HPA of its own; choose one of score.hpa and score.keda" -}}
{{- end -}}
{{- range $name := list "hpa" "keda" -}}
{{- $scaler := get $v.score $name -}}
{{- if $scaler.enabled -}}
{{- if not $fleet -}}
{{- $said = append $said (printf "score.%s.enabled: only the workers of mode fleet scale" $name) -}}
{{- end -}}
{{- if gt (int $scaler.minReplicas) (int $scaler.maxReplicas) -}}
{{- $said = append $said (printf "score.%s: minReplicas is above maxReplicas" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $sasl.mechanism -}}
{{- if not $sasl.existingSecret -}}
{{- $said = append $said "kafka.sasl.existingSecret: name the Secret that holds the password or token" -}}
{{- end -}}
{{- if and (ne $sasl.mechanism "OAUTHBEARER") (not $sasl.username) -}}
{{- $said = append $said (printf "kafka.sasl.username: %s needs one" $sasl.mechanism) -}}
{{- end -}}
{{- if and (eq $sasl.mechanism "OAUTHBEARER") $v.score.keda.enabled (not $v.score.keda.authenticationRef) -}}
{{- $said = append $said "score.keda.authenticationRef: KEDA cannot log in with a ready bearer token; name a TriggerAuthentication of your own" -}}
{{- end -}}
{{- else if or $sasl.existingSecret $sasl.username -}}
{{- $said = append $said "kafka.sasl.mechanism: say how to log in" -}}
{{- end -}}
{{- if and $tls.existingSecret (not $tls.enabled) -}}
{{- $said = append $said "kafka.tls.enabled: certificates are given, but TLS is off" -}}
{{- end -}}
{{- if ne (empty $tls.certificateKey) (empty $tls.privateKeyKey) -}}
{{- $said = append $said "kafka.tls: certificateKey and privateKeyKey go together" -}}
{{- end -}}
{{- if and $tls.existingSecret (not $tls.caKey) (not $tls.certificateKey) -}}
{{- $said = append $said "kafka.tls.existingSecret: name at least one of its keys" -}}
{{- end -}}
{{- if and $tls.certificateKey (not $tls.existingSecret) -}}
{{- $said = append $said "kafka.tls.existingSecret: name the Secret that holds the client's certificate" -}}
{{- end -}}
{{- if and $v.chain.existingSecret (not (hasPrefix "s3://" $v.chain.url)) -}}
{{- $said = append $said "chain.existingSecret: keys of S3, but chain.url is not s3://…" -}}
{{- end -}}
{{- if and $v.detoxify.existingClaim $v.detoxify.image -}}
{{- $said = append $said "detoxify: choose one of existingClaim and image" -}}
{{- end -}}
{{- if and $v.webConfig.tlsSecret (not $v.webConfig.existingSecret) -}}
{{- $said = append $said "webConfig.existingSecret: tlsSecret holds certificates; the file that turns TLS on is missing" -}}
{{- end -}}
{{- $alerts := $v.alertmanager -}}
{{- if and (not $alerts.url) (or $alerts.existingSecret $alerts.username $alerts.tokenKey $alerts.caKey) -}}
{{- $said = append $said "alertmanager.url: how to log in is given, but not where" -}}
{{- end -}}
{{- if and $alerts.username $alerts.tokenKey -}}
{{- $said = append $said "alertmanager: choose one of username and tokenKey" -}}
{{- end -}}
{{- if and (or $alerts.username $alerts.tokenKey $alerts.caKey) (not $alerts.existingSecret) -}}
{{- $said = append $said "alertmanager.existingSecret: name the Secret that holds the password, token or authority" -}}
{{- end -}}
{{- if and $alerts.existingSecret (not $alerts.username) (not $alerts.tokenKey) (not $alerts.caKey) -}}
{{- $said = append $said "alertmanager.existingSecret: name at least one of its keys, or username" -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) -}}
{{- $said = append $said "serviceAccount.name: none is made, so name one" -}}
{{- end -}}
{{- if $said -}}
{{- fail (printf "\n\nThe values do not fit together:\n  %s\n" (join "\n  " $said)) -}}
{{- end -}}
{{- end -}}
