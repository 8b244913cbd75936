{{- /* regcred.yaml, as the server gets it. */}}

{{- /* Where the volume is mounted, and the data directory on it. */}}
{{- define "regcred.volumePath" -}}/var/lib/regcred{{- end }}
{{- define "regcred.dataDir" -}}{{ include "regcred.volumePath" . }}/data{{- end }}
{{- define "regcred.configDir" -}}/etc/regcred{{- end }}

{{- /* The port of the pod. */}}
{{- define "regcred.port" -}}8440{{- end }}

{{- define "regcred.config" -}}
{{- include "regcred.checkConfig" . }}
{{- $ours := dict
  "data_dir" (include "regcred.dataDir" .)
  "listen" (printf ":%s" (include "regcred.port" .))
  "public_url" (include "regcred.publicURL" .) }}
{{- $registry := dict }}
{{- with include "regcred.bucket" . }}
{{- $_ := set $registry "storage" (dict "s3" (fromYaml .)) }}
{{- end }}
{{- if and .Values.registry.pushFrom (eq (include "regcred.location" .) "on-cluster") }}
{{- $_ := set $registry "repositories" (list (dict "match" "*" "public" true "push_from" .Values.registry.pushFrom)) }}
{{- end }}
{{- if $registry }}
{{- $_ := set $ours "registry" $registry }}
{{- end }}
{{- toYaml (merge (deepCopy (default dict .Values.config)) $ours) }}
{{- end }}

{{- /* What must not stand in config: the rest is checked by the server. */}}
{{- define "regcred.checkConfig" -}}
{{- range list "data_dir" "listen" }}
{{- if hasKey (default dict $.Values.config) . }}
{{- fail (printf "config.%s: leave it out: the chart sets it (persistence and service have its settings)" .) }}
{{- end }}
{{- end }}
{{- range $i, $credential := default list (default dict .Values.config).credentials }}
{{- $password := toString (default "" $credential.password) }}
{{- if and $password (not (hasPrefix "env:" $password)) (not (hasPrefix "file:" $password)) }}
{{- fail (printf "config.credentials[%d].password: secrets do not stand in values: write env:NAME or file:PATH, and name the Secret in extraEnvFrom or extraSecretMounts" $i) }}
{{- end }}
{{- end }}
{{- if and (dig "registry" "storage" dict (default dict .Values.config)) (include "regcred.bucket" .) }}
{{- fail "config.registry.storage: leave it out where registry.storage.s3 or global.storage names a bucket" }}
{{- end }}
{{- if and (eq (include "regcred.location" .) "on-cluster") (not .Values.persistence.enabled) (not (include "regcred.bucket" .)) }}
{{- fail "persistence.enabled is false: with registry_location on-cluster the images of all apps are kept on the volume" }}
{{- end }}
{{- end }}
