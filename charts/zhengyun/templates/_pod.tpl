{{/* What every pod has: no root, the runtime's seccomp profile, replicas on different nodes where there are several. */}}
{{- define "zhengyun.pod" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  {{- if and .root.Values.recovery.enabled (eq .name "zhengyun-operator") }}
  # Claims are written by the operator's user.
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
enableServiceLinks: false
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app.kubernetes.io/name: {{ .name }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .component.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .component.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .component.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .component.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What every container has: no privileges, nothing to write to, and probes on the port of the metrics. */}}
{{- define "zhengyun.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 5
  timeoutSeconds: 5
startupProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 2
  failureThreshold: 30
{{- end -}}

{{/* A rule of a NetworkPolicy: who may come in on a port. */}}
{{- define "zhengyun.ingress" -}}
- ports:
    - port: {{ .port }}
      protocol: TCP
  {{- with .from }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Where the operator's processes of disaster recovery read and write: folder in the container, claim. */}}
{{- define "zhengyun.recoveryMounts" -}}
{{- $mounts := list (dict "name" "recovery-runs" "path" "/var/lib/zhengyun-operator" "claim" .Values.recovery.runsClaim) }}
{{- $mounts = append $mounts (dict "name" "recovery-scratch" "path" "/tmp" "claim" "") }}
{{- range $at, $claim := .Values.recovery.storeClaims }}
{{- $mounts = append $mounts (dict "name" (printf "store-%d" $at) "path" (printf "/backup/%s" $claim) "claim" $claim) }}
{{- end }}
{{- range $at, $root := .Values.recovery.fileRoots }}
{{- $mounts = append $mounts (dict "name" (printf "files-%d" $at) "path" (printf "/files/%s" $root.name) "claim" $root.claim "readOnly" (not $root.writable)) }}
{{- end }}
{{- range $at, $drills := .Values.recovery.drillFolders }}
{{- $mounts = append $mounts (dict "name" (printf "drills-%d" $at) "path" (printf "/drills/%s" $drills.site) "claim" $drills.claim) }}
{{- end }}
{{- toYaml $mounts }}
{{- end -}}

{{/* Rules of a NetworkPolicy: where pods may go. */}}
{{- define "zhengyun.egress" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- with .Values.networkPolicy.apiServerPorts }}
- ports:
    {{- range . }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}
{{- end -}}
