{{- /* Where the registry keeps images: a bucket of an S3 server, or else the volume. */}}

{{- /* "true" where the platform's object storage is used, as Workflow's values say it. */}}
{{- define "regcred.platformStorage" -}}
{{- if and (eq (include "regcred.location" .) "on-cluster") (eq (default "" .Values.global.storage) "s3") }}true{{ end }}
{{- end }}

{{- define "regcred.bucketSecretPath" -}}/run/secrets/object-storage{{- end }}
{{- define "regcred.bucketCAPath" -}}/run/secrets/object-storage-ca{{- end }}

{{- /* The Secret with the bucket's keys, "" where the pod's own identity is used. */}}
{{- define "regcred.bucketSecret" -}}
{{- $platform := default dict .Values.s3 }}
{{- if .Values.registry.storage.s3.existingSecret }}
{{- .Values.registry.storage.s3.existingSecret }}
{{- else if include "regcred.platformStorage" . }}
{{- default (include "regcred.ownBucketSecret" .) $platform.existingSecret }}
{{- end }}
{{- end }}

{{- /* The Secret that the chart makes for Workflow's keys, "" for none. */}}
{{- define "regcred.ownBucketSecret" -}}
{{- $platform := default dict .Values.s3 }}
{{- if and (include "regcred.platformStorage" .) (not $platform.existingSecret) (not .Values.registry.storage.s3.existingSecret) }}
{{- if ne (empty $platform.accesskey) (empty $platform.secretkey) }}
{{- fail "s3: of accesskey and secretkey only one is set: set both, or leave both empty for the pod's own IAM role" }}
{{- end }}
{{- if $platform.accesskey }}{{ include "regcred.fullname" . }}-object-storage{{ end }}
{{- end }}
{{- end }}

{{- /* registry.storage.s3 of regcred.yaml, "" where images are on the volume. */}}
{{- define "regcred.bucket" -}}
{{- $own := .Values.registry.storage.s3 }}
{{- $bucket := dict }}
{{- if include "regcred.platformStorage" . }}
{{- $platform := default dict .Values.s3 }}
{{- $bucket = dict "bucket" $platform.registry_bucket "region" $platform.region }}
{{- end }}
{{- range list "bucket" "prefix" "region" "endpoint" "public_endpoint" "path_style" "sse" "kms_key_id" "storage_class" }}
{{- $_ := set $bucket . (default (get $bucket .) (get $own .)) }}
{{- if empty (get $bucket .) }}{{ $_ := unset $bucket . }}{{ end }}
{{- end }}
{{- if and (include "regcred.platformStorage" .) (not $bucket.bucket) }}
{{- fail "s3.registry_bucket: name the bucket: global.storage is s3" }}
{{- end }}
{{- if and $bucket (not $bucket.bucket) }}
{{- fail "registry.storage.s3.bucket: name the bucket" }}
{{- end }}
{{- if include "regcred.bucketSecret" . }}
{{- $_ := set $bucket "access_key_id" (printf "file:%s/accesskey" (include "regcred.bucketSecretPath" .)) }}
{{- $_ := set $bucket "secret_access_key" (printf "file:%s/secretkey" (include "regcred.bucketSecretPath" .)) }}
{{- end }}
{{- if $own.caSecret }}
{{- $_ := set $bucket "ca" (printf "%s/ca.crt" (include "regcred.bucketCAPath" .)) }}
{{- end }}
{{- if $bucket.bucket }}{{ toYaml $bucket }}{{ end }}
{{- end }}
