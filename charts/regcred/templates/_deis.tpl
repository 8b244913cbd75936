{{- /* Deis Workflow's values. */}}

{{- define "regcred.location" -}}
{{- default "none" .Values.global.registry_location }}
{{- end }}

{{- /*
"true" where `regcred deis` runs: the registry is elsewhere, and registry-secret says
how to log in there.
*/}}
{{- define "regcred.refresher" -}}
{{- if has (include "regcred.location" .) (list "ecr" "gcr" "off-cluster") }}true{{ end }}
{{- end }}

{{- /* "true" where that has something to refresh: logins are short-lived. */}}
{{- define "regcred.refreshes" -}}
{{- if has (include "regcred.location" .) (list "ecr" "gcr") }}true{{ end }}
{{- end }}

{{- define "regcred.pullSecretName" -}}
{{- printf "%s-%s" (default "private-registry" .Values.global.secret_prefix) (include "regcred.location" .) }}
{{- end }}

{{- define "regcred.registrySecretName" -}}
{{- default "registry-secret" .Values.existingSecret }}
{{- end }}

{{- /*
The values below registry-token-refresher, as YAML. In Workflow's own chart they reach
this one without that key, where it is the dependency of that alias.
*/}}
{{- define "regcred.deis" -}}
{{- $all := deepCopy (default dict (index .Values "registry-token-refresher")) }}
{{- $direct := pick .Values "token_refresh_time" "ecr" "gcr" "off_cluster_registry" "org" "docker_tag" "pull_policy" "limits_cpu" "limits_memory" }}
{{- toYaml (mergeOverwrite $all (deepCopy $direct)) }}
{{- end }}

{{- /* The content of registry-secret, as the components of Workflow read it. */}}
{{- define "regcred.registrySecretData" -}}
{{- $location := include "regcred.location" . }}
{{- $deis := include "regcred.deis" . | fromYaml }}
{{- if eq $location "ecr" }}
{{- $ecr := default dict $deis.ecr }}
{{- if ne (empty $ecr.accesskey) (empty $ecr.secretkey) }}
{{- fail "registry-token-refresher.ecr: of accesskey and secretkey only one is set: set both, or leave both empty for the pod's own IAM role" }}
{{- end }}
{{- range list "accesskey" "secretkey" "region" "registryid" "hostname" }}
{{ . }}: {{ get $ecr . | default "" | toString | b64enc | quote }}
{{- end }}
{{- else if eq $location "gcr" }}
{{- $gcr := default dict $deis.gcr }}
key.json: {{ include "regcred.googleKey" $gcr | quote }}
hostname: {{ default "" $gcr.hostname | b64enc | quote }}
{{- else }}
{{- $registry := default dict $deis.off_cluster_registry }}
{{- if not $registry.organization }}
{{- fail "registry-token-refresher.off_cluster_registry.organization is mandatory with registry_location off-cluster: it is the first part of the names of images, as in HOST/ORGANIZATION/APP" }}
{{- end }}
{{- range list "hostname" "organization" "username" "password" }}
{{ . }}: {{ get $registry . | default "" | toString | b64enc | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A service account's key in base64, from that or from its JSON. */}}
{{- define "regcred.googleKey" -}}
{{- $key := default "" .key_json | trim }}
{{- if hasPrefix "{" $key }}
{{- $key = b64enc $key }}
{{- end }}
{{- $key = regexReplaceAll "\\s" $key "" }}
{{- if and $key (ne (dig "type" "" (b64dec $key | fromJson)) "service_account") }}
{{- fail "registry-token-refresher.gcr.key_json: this is no service account's key: write its JSON (--set-file ...key_json=key.json), or that in base64" }}
{{- end }}
{{- $key }}
{{- end }}
