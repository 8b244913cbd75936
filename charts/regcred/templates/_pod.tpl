{{- /* Parts of the pod. */}}

{{- define "regcred.podAnnotations" -}}
{{- $annotations := deepCopy .Values.podAnnotations }}
{{- if not (include "regcred.refresher" .) }}
{{- $_ := set $annotations "checksum/config" (include "regcred.config" . | sha256sum) }}
{{- if include "regcred.ownBucketSecret" . }}
{{- $_ := set $annotations "checksum/object-storage" (printf "%s %s" .Values.s3.accesskey .Values.s3.secretkey | sha256sum) }}
{{- end }}
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
{{- if include "regcred.bucketSecret" . }}
- name: object-storage
  mountPath: {{ include "regcred.bucketSecretPath" . }}
  readOnly: true
{{- end }}
{{- if .Values.registry.storage.s3.caSecret }}
- name: object-storage-ca
  mountPath: {{ include "regcred.bucketCAPath" . }}
  readOnly: true
{{- end }}
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
{{- with include "regcred.bucketSecret" . }}
- name: object-storage
  secret:
    secretName: {{ quote . }}
    items:
      - {key: accesskey, path: accesskey}
      - {key: secretkey, path: secretkey}
{{- end }}
{{- with .Values.registry.storage.s3.caSecret }}
- name: object-storage-ca
  secret:
    secretName: {{ quote . }}
    items:
      - {key: ca.crt, path: ca.crt}
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

{{- /* OpenShift's restricted SCC gives each namespace users and groups of its own. */}}
{{- define "regcred.podSecurityContext" -}}
{{- if .Values.openshift.enabled }}
{{- toYaml (omit .Values.podSecurityContext "runAsUser" "runAsGroup" "fsGroup" "supplementalGroups") }}
{{- else }}
{{- toYaml .Values.podSecurityContext }}
{{- end }}
{{- end }}
