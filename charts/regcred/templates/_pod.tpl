{{- /* Parts of the pod. */}}

{{- define "regcred.podAnnotations" -}}
{{- $annotations := deepCopy .Values.podAnnotations }}
{{- if not (include "regcred.refresher" .) }}
{{- $_ := set $annotations "checksum/config" (include "regcred.config" . | sha256sum) }}
{{- end }}
{{- if .Values.metrics.annotations }}
{{- $annotations = merge $annotations (dict "prometheus.io/scrape" "true" "prometheus.io/port" (include "regcred.port" .) "prometheus.io/path" "/metrics") }}
{{- end }}
{{- toYaml $annotations }}
{{- end }}

{{- define "regcred.env" -}}
{{- if include "regcred.refresher" . }}
- name: DEIS_REGISTRY_LOCATION
  value: {{ include "regcred.location" . | quote }}
- name: DEIS_REGISTRY_SECRET_PREFIX
  value: {{ default "private-registry" .Values.global.secret_prefix | quote }}
- name: DEIS_NAMESPACE_REFRESH_TIME
  value: "5" # as it always was; namespaces are watched, and it has no effect
- name: DEIS_TOKEN_REFRESH_TIME
  value: {{ default "" (include "regcred.deis" . | fromYaml).token_refresh_time | toString | quote }}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: REGCRED_LISTEN
  value: {{ include "regcred.port" . | printf ":%s" | quote }}
{{- else }}
- name: REGCRED_DATA_DIR # for commands that are run in the pod
  value: {{ include "regcred.dataDir" . }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "regcred.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if include "regcred.refresher" . }}
- name: registry-secret
  mountPath: /var/run/secrets/deis/registry/creds
  readOnly: true
{{- else }}
- name: config
  mountPath: {{ include "regcred.configDir" . }}
  readOnly: true
- name: data
  mountPath: {{ include "regcred.volumePath" . }}
{{- end }}
{{- range $i, $mount := .Values.extraSecretMounts }}
- name: secret-{{ $i }}
  mountPath: {{ quote $mount.mountPath }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "regcred.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if include "regcred.refresher" . }}
- name: registry-secret
  secret:
    secretName: {{ include "regcred.registrySecretName" . | quote }}
{{- else }}
- name: config
  configMap:
    name: {{ include "regcred.fullname" . }}
- name: data
  {{- if .Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ default (include "regcred.fullname" .) .Values.persistence.existingClaim | quote }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- range $i, $mount := .Values.extraSecretMounts }}
- name: secret-{{ $i }}
  secret:
    secretName: {{ quote $mount.secretName }}
    {{- with $mount.items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- end }}
