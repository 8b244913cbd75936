{{- /* How clients reach the server. */}}

{{- define "regcred.hasRoute" -}}
{{- if and .Values.openshift.enabled .Values.openshift.route.enabled (not (include "regcred.refresher" .)) }}true{{ end }}
{{- end }}

{{- /* What the server speaks itself: HTTPS where it has certificates of its own. */}}
{{- define "regcred.scheme" -}}
{{- ternary "HTTPS" "HTTP" (not (empty (default dict .Values.config).tls)) }}
{{- end }}

{{- /* public_url, where config does not have it. */}}
{{- define "regcred.publicURL" -}}
{{- if and (include "regcred.hasRoute" .) .Values.openshift.route.host }}
{{- printf "https://%s" .Values.openshift.route.host }}
{{- else if .Values.ingress.enabled }}
{{- printf "%s://%s" (ternary "https" "http" .Values.ingress.tls.enabled) .Values.ingress.host }}
{{- else }}
{{- printf "%s://%s.%s.svc:%d" (include "regcred.scheme" . | lower) (include "regcred.fullname" .) .Release.Namespace (int .Values.service.port) }}
{{- end }}
{{- end }}
