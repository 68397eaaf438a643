{{- define "trommel.fullname" -}}
{{- if contains "trommel" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-trommel" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "trommel.redisSecret" -}}
{{- .Values.redis.existingSecret | default (printf "%s-redis" (include "trommel.fullname" .)) }}
{{- end }}

{{/* What every key in Redis begins with. */}}
{{- define "trommel.queuePrefix" -}}
{{- if .Values.redis.namespace }}trommel-{{ .Values.redis.namespace }}{{ else }}trommel{{ end }}
{{- end }}

{{- define "trommel.selector" -}}
app.kubernetes.io/name: trommel
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "trommel.labels" -}}
{{ include "trommel.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The environment of all processes. */}}
{{- define "trommel.environment" -}}
envFrom:
  - configMapRef:
      name: {{ include "trommel.fullname" . }}
  {{- with .Values.store.existingSecret }}
  - secretRef:
      name: {{ . }}
  {{- end }}
env:
  - name: TROMMEL_REDIS_URL
    valueFrom:
      secretKeyRef:
        name: {{ include "trommel.redisSecret" . }}
        key: redis-url
{{- end }}

{{/* The pods may write to /tmp and nowhere else. */}}
{{- define "trommel.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "trommel.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/*
Ready means that Redis answers. No liveness probe asks that: restarting every pod because Redis is down would lose
the shards in hand and repair nothing. A process that cannot continue ends by itself.
*/}}
{{- define "trommel.readiness" -}}
exec:
  command: [node, infra/docker/check-redis.mjs]
initialDelaySeconds: 5
periodSeconds: 20
timeoutSeconds: 10
failureThreshold: 3
{{- end }}

{{/*
Coordinators and workers alone: what they serve to Prometheus, and the probe of the process itself. A process that waits for
its first Redis does not answer yet; being restarted costs it nothing.
*/}}
{{- define "trommel.metricsContainer" -}}
{{- if .Values.metrics.enabled -}}
ports:
  - name: metrics
    containerPort: {{ .Values.metrics.port }}
livenessProbe:
  httpGet: { path: /healthz, port: metrics }
  initialDelaySeconds: 30
  periodSeconds: 30
  timeoutSeconds: 10
  failureThreshold: 10
{{- end }}
{{- end }}

{{- define "trommel.metricsArguments" -}}
{{- if .Values.metrics.enabled -}}
- --metrics
- {{ printf "0.0.0.0:%v" .Values.metrics.port | quote }}
{{- end }}
{{- end }}

{{- define "trommel.metricsAnnotations" -}}
{{- if and .Values.metrics.enabled .Values.metrics.annotations (not .Values.metrics.podMonitor.enabled) -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.metrics.port | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- end }}
