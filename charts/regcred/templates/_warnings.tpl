{{- /* What is worth a second look, as a YAML list of sentences. */}}
{{- define "regcred.warnings" -}}
{{- $location := include "regcred.location" . }}
{{- $deis := include "regcred.deis" . | fromYaml }}
{{- $warnings := list }}
{{- $part := default dict (get $deis $location) }}
{{- range list "registryid" "hostname" }}
{{- if and (include "regcred.refreshes" $) (get $part .) }}
{{- $warnings = append $warnings (printf "registry-token-refresher.%s.%s should be empty: it follows from the other values." $location .) }}
{{- end }}
{{- end }}
{{- if and .Values.existingSecret (include "regcred.ownLogin" .) }}
{{- $warnings = append $warnings (printf "the logins below registry-token-refresher have no effect: they are read from the Secret %s." .Values.existingSecret) }}
{{- end }}
{{- if and (eq $location "gcr") (not .Values.existingSecret) (not $part.key_json) }}
{{- $warnings = append $warnings "registry-token-refresher.gcr.key_json is empty: the pod's own identity is used (serviceAccount.annotations)." }}
{{- end }}
{{- range list "org" "docker_tag" "pull_policy" "limits_cpu" "limits_memory" }}
{{- if hasKey $deis . }}
{{- $warnings = append $warnings (printf "registry-token-refresher.%s has no effect: image and resources say it here." .) }}
{{- end }}
{{- end }}
{{- if not (or .Values.persistence.enabled (include "regcred.refresher" .)) }}
{{- $warnings = append $warnings (printf "persistence.enabled is false: credentials%s are gone with the pod." (ternary "" " and images" (not (empty (include "regcred.bucket" .))))) }}
{{- end }}
{{- $storage := default "" .Values.global.storage }}
{{- if and (eq $location "on-cluster") $storage (ne $storage "s3") }}
{{- $warnings = append $warnings (printf "global.storage %s is not used: images are kept on the volume, or in the bucket that registry.storage.s3 names." $storage) }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.tls.enabled) }}
{{- $warnings = append $warnings "ingress.tls.enabled is false: logins travel in clear." }}
{{- end }}
{{- toYaml $warnings }}
{{- end }}

{{- /* "true" where the values hold a login for registry-secret. */}}
{{- define "regcred.ownLogin" -}}
{{- $deis := include "regcred.deis" . | fromYaml }}
{{- if or (dig "ecr" "accesskey" "" $deis) (dig "gcr" "key_json" "" $deis) (dig "off_cluster_registry" "username" "" $deis) }}true{{ end }}
{{- end }}
