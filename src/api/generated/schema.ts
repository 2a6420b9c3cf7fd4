// Written by tools/generate-kubernetes-types.mjs from the models of Kubernetes release 1.36. Do not edit.

/** Fields of one object type. A type is a scalar, `[]` before an element type, `{}` before a map's value type, or a type's name. */
export interface TypeSchema {
  readonly fields: { readonly [field: string]: string };
  readonly required: readonly string[];
}

export const schema: { readonly [type: string]: TypeSchema } = {
  APIGroup: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      name: 'string',
      preferredVersion: 'GroupVersionForDiscovery',
      serverAddressByClientCIDRs: '[]ServerAddressByClientCIDR',
      versions: '[]GroupVersionForDiscovery',
    },
    required: ['name', 'versions'],
  },
  APIGroupList: {
    fields: {
      apiVersion: 'string',
      groups: '[]APIGroup',
      kind: 'string',
    },
    required: ['groups'],
  },
  APIResource: {
    fields: {
      categories: '[]string',
      group: 'string',
      kind: 'string',
      name: 'string',
      namespaced: 'boolean',
      shortNames: '[]string',
      singularName: 'string',
      storageVersionHash: 'string',
      verbs: '[]string',
      version: 'string',
    },
    required: ['kind', 'name', 'namespaced', 'singularName', 'verbs'],
  },
  APIResourceList: {
    fields: {
      apiVersion: 'string',
      groupVersion: 'string',
      kind: 'string',
      resources: '[]APIResource',
    },
    required: ['groupVersion', 'resources'],
  },
  APIVersions: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      serverAddressByClientCIDRs: '[]ServerAddressByClientCIDR',
      versions: '[]string',
    },
    required: ['serverAddressByClientCIDRs', 'versions'],
  },
  AWSElasticBlockStoreVolumeSource: {
    fields: {
      fsType: 'string',
      partition: 'int32',
      readOnly: 'boolean',
      volumeID: 'string',
    },
    required: ['volumeID'],
  },
  Affinity: {
    fields: {
      nodeAffinity: 'NodeAffinity',
      podAffinity: 'PodAffinity',
      podAntiAffinity: 'PodAntiAffinity',
    },
    required: [],
  },
  AggregationRule: {
    fields: {
      clusterRoleSelectors: '[]LabelSelector',
    },
    required: [],
  },
  AppArmorProfile: {
    fields: {
      localhostProfile: 'string',
      type: 'string',
    },
    required: ['type'],
  },
  AttachedVolume: {
    fields: {
      devicePath: 'string',
      name: 'string',
    },
    required: ['devicePath', 'name'],
  },
  AzureDiskVolumeSource: {
    fields: {
      cachingMode: 'string',
      diskName: 'string',
      diskURI: 'string',
      fsType: 'string',
      kind: 'string',
      readOnly: 'boolean',
    },
    required: ['diskName', 'diskURI'],
  },
  AzureFileVolumeSource: {
    fields: {
      readOnly: 'boolean',
      secretName: 'string',
      shareName: 'string',
    },
    required: ['secretName', 'shareName'],
  },
  Binding: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      target: 'ObjectReference',
    },
    required: ['target'],
  },
  BoundObjectReference: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      name: 'string',
      uid: 'string',
    },
    required: [],
  },
  CSIVolumeSource: {
    fields: {
      driver: 'string',
      fsType: 'string',
      nodePublishSecretRef: 'LocalObjectReference',
      readOnly: 'boolean',
      volumeAttributes: '{}string',
    },
    required: ['driver'],
  },
  Capabilities: {
    fields: {
      add: '[]string',
      drop: '[]string',
    },
    required: [],
  },
  CephFSVolumeSource: {
    fields: {
      monitors: '[]string',
      path: 'string',
      readOnly: 'boolean',
      secretFile: 'string',
      secretRef: 'LocalObjectReference',
      user: 'string',
    },
    required: ['monitors'],
  },
  CinderVolumeSource: {
    fields: {
      fsType: 'string',
      readOnly: 'boolean',
      secretRef: 'LocalObjectReference',
      volumeID: 'string',
    },
    required: ['volumeID'],
  },
  ClientIPConfig: {
    fields: {
      timeoutSeconds: 'int32',
    },
    required: [],
  },
  ClusterRole: {
    fields: {
      aggregationRule: 'AggregationRule',
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      rules: '[]PolicyRule',
    },
    required: [],
  },
  ClusterRoleBinding: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      roleRef: 'RoleRef',
      subjects: '[]Subject',
    },
    required: ['roleRef'],
  },
  ClusterTrustBundleProjection: {
    fields: {
      labelSelector: 'LabelSelector',
      name: 'string',
      optional: 'boolean',
      path: 'string',
      signerName: 'string',
    },
    required: ['path'],
  },
  Condition: {
    fields: {
      lastTransitionTime: 'time',
      message: 'string',
      observedGeneration: 'int64',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
    required: ['lastTransitionTime', 'message', 'reason', 'status', 'type'],
  },
  ConfigMap: {
    fields: {
      apiVersion: 'string',
      binaryData: '{}bytes',
      data: '{}string',
      immutable: 'boolean',
      kind: 'string',
      metadata: 'ObjectMeta',
    },
    required: [],
  },
  ConfigMapEnvSource: {
    fields: {
      name: 'string',
      optional: 'boolean',
    },
    required: [],
  },
  ConfigMapKeySelector: {
    fields: {
      key: 'string',
      name: 'string',
      optional: 'boolean',
    },
    required: ['key'],
  },
  ConfigMapNodeConfigSource: {
    fields: {
      kubeletConfigKey: 'string',
      name: 'string',
      namespace: 'string',
      resourceVersion: 'string',
      uid: 'string',
    },
    required: ['kubeletConfigKey', 'name', 'namespace'],
  },
  ConfigMapProjection: {
    fields: {
      items: '[]KeyToPath',
      name: 'string',
      optional: 'boolean',
    },
    required: [],
  },
  ConfigMapVolumeSource: {
    fields: {
      defaultMode: 'int32',
      items: '[]KeyToPath',
      name: 'string',
      optional: 'boolean',
    },
    required: [],
  },
  Container: {
    fields: {
      args: '[]string',
      command: '[]string',
      env: '[]EnvVar',
      envFrom: '[]EnvFromSource',
      image: 'string',
      imagePullPolicy: 'string',
      lifecycle: 'Lifecycle',
      livenessProbe: 'Probe',
      name: 'string',
      ports: '[]ContainerPort',
      readinessProbe: 'Probe',
      resizePolicy: '[]ContainerResizePolicy',
      resources: 'ResourceRequirements',
      restartPolicy: 'string',
      restartPolicyRules: '[]ContainerRestartRule',
      securityContext: 'SecurityContext',
      startupProbe: 'Probe',
      stdin: 'boolean',
      stdinOnce: 'boolean',
      terminationMessagePath: 'string',
      terminationMessagePolicy: 'string',
      tty: 'boolean',
      volumeDevices: '[]VolumeDevice',
      volumeMounts: '[]VolumeMount',
      workingDir: 'string',
    },
    required: ['name'],
  },
  ContainerExtendedResourceRequest: {
    fields: {
      containerName: 'string',
      requestName: 'string',
      resourceName: 'string',
    },
    required: ['containerName', 'requestName', 'resourceName'],
  },
  ContainerImage: {
    fields: {
      names: '[]string',
      sizeBytes: 'int64',
    },
    required: [],
  },
  ContainerPort: {
    fields: {
      containerPort: 'int32',
      hostIP: 'string',
      hostPort: 'int32',
      name: 'string',
      protocol: 'string',
    },
    required: ['containerPort'],
  },
  ContainerResizePolicy: {
    fields: {
      resourceName: 'string',
      restartPolicy: 'string',
    },
    required: ['resourceName', 'restartPolicy'],
  },
  ContainerRestartRule: {
    fields: {
      action: 'string',
      exitCodes: 'ContainerRestartRuleOnExitCodes',
    },
    required: ['action'],
  },
  ContainerRestartRuleOnExitCodes: {
    fields: {
      operator: 'string',
      values: '[]int32',
    },
    required: ['operator'],
  },
  ContainerState: {
    fields: {
      running: 'ContainerStateRunning',
      terminated: 'ContainerStateTerminated',
      waiting: 'ContainerStateWaiting',
    },
    required: [],
  },
  ContainerStateRunning: {
    fields: {
      startedAt: 'time',
    },
    required: [],
  },
  ContainerStateTerminated: {
    fields: {
      containerID: 'string',
      exitCode: 'int32',
      finishedAt: 'time',
      message: 'string',
      reason: 'string',
      signal: 'int32',
      startedAt: 'time',
    },
    required: ['exitCode'],
  },
  ContainerStateWaiting: {
    fields: {
      message: 'string',
      reason: 'string',
    },
    required: [],
  },
  ContainerStatus: {
    fields: {
      allocatedResources: '{}string',
      allocatedResourcesStatus: '[]ResourceStatus',
      containerID: 'string',
      image: 'string',
      imageID: 'string',
      lastState: 'ContainerState',
      name: 'string',
      ready: 'boolean',
      resources: 'ResourceRequirements',
      restartCount: 'int32',
      started: 'boolean',
      state: 'ContainerState',
      stopSignal: 'string',
      user: 'ContainerUser',
      volumeMounts: '[]VolumeMountStatus',
    },
    required: ['image', 'imageID', 'name', 'ready', 'restartCount'],
  },
  ContainerUser: {
    fields: {
      linux: 'LinuxContainerUser',
    },
    required: [],
  },
  ControllerRevision: {
    fields: {
      apiVersion: 'string',
      data: 'any',
      kind: 'string',
      metadata: 'ObjectMeta',
      revision: 'int64',
    },
    required: ['revision'],
  },
  CoreEndpointPort: {
    fields: {
      appProtocol: 'string',
      name: 'string',
      port: 'int32',
      protocol: 'string',
    },
    required: ['port'],
  },
  CoreEvent: {
    fields: {
      action: 'string',
      apiVersion: 'string',
      count: 'int32',
      eventTime: 'time',
      firstTimestamp: 'time',
      involvedObject: 'ObjectReference',
      kind: 'string',
      lastTimestamp: 'time',
      message: 'string',
      metadata: 'ObjectMeta',
      reason: 'string',
      related: 'ObjectReference',
      reportingComponent: 'string',
      reportingInstance: 'string',
      series: 'CoreEventSeries',
      source: 'EventSource',
      type: 'string',
    },
    required: ['involvedObject', 'metadata'],
  },
  CoreEventSeries: {
    fields: {
      count: 'int32',
      lastObservedTime: 'time',
    },
    required: [],
  },
  CoreResourceClaim: {
    fields: {
      name: 'string',
      request: 'string',
    },
    required: ['name'],
  },
  DaemonEndpoint: {
    fields: {
      Port: 'int32',
    },
    required: ['Port'],
  },
  DaemonSet: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'DaemonSetSpec',
      status: 'DaemonSetStatus',
    },
    required: [],
  },
  DaemonSetCondition: {
    fields: {
      lastTransitionTime: 'time',
      message: 'string',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
    required: ['status', 'type'],
  },
  DaemonSetSpec: {
    fields: {
      minReadySeconds: 'int32',
      revisionHistoryLimit: 'int32',
      selector: 'LabelSelector',
      template: 'PodTemplateSpec',
      updateStrategy: 'DaemonSetUpdateStrategy',
    },
    required: ['selector', 'template'],
  },
  DaemonSetStatus: {
    fields: {
      collisionCount: 'int32',
      conditions: '[]DaemonSetCondition',
      currentNumberScheduled: 'int32',
      desiredNumberScheduled: 'int32',
      numberAvailable: 'int32',
      numberMisscheduled: 'int32',
      numberReady: 'int32',
      numberUnavailable: 'int32',
      observedGeneration: 'int64',
      updatedNumberScheduled: 'int32',
    },
    required: ['currentNumberScheduled', 'desiredNumberScheduled', 'numberMisscheduled', 'numberReady'],
  },
  DaemonSetUpdateStrategy: {
    fields: {
      rollingUpdate: 'RollingUpdateDaemonSet',
      type: 'string',
    },
    required: [],
  },
  DeleteOptions: {
    fields: {
      apiVersion: 'string',
      dryRun: '[]string',
      gracePeriodSeconds: 'int64',
      ignoreStoreReadErrorWithClusterBreakingPotential: 'boolean',
      kind: 'string',
      orphanDependents: 'boolean',
      preconditions: 'Preconditions',
      propagationPolicy: 'string',
    },
    required: [],
  },
  Deployment: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'DeploymentSpec',
      status: 'DeploymentStatus',
    },
    required: [],
  },
  DeploymentCondition: {
    fields: {
      lastTransitionTime: 'time',
      lastUpdateTime: 'time',
      message: 'string',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
    required: ['status', 'type'],
  },
  DeploymentSpec: {
    fields: {
      minReadySeconds: 'int32',
      paused: 'boolean',
      progressDeadlineSeconds: 'int32',
      replicas: 'int32',
      revisionHistoryLimit: 'int32',
      selector: 'LabelSelector',
      strategy: 'DeploymentStrategy',
      template: 'PodTemplateSpec',
    },
    required: ['selector', 'template'],
  },
  DeploymentStatus: {
    fields: {
      availableReplicas: 'int32',
      collisionCount: 'int32',
      conditions: '[]DeploymentCondition',
      observedGeneration: 'int64',
      readyReplicas: 'int32',
      replicas: 'int32',
      terminatingReplicas: 'int32',
      unavailableReplicas: 'int32',
      updatedReplicas: 'int32',
    },
    required: [],
  },
  DeploymentStrategy: {
    fields: {
      rollingUpdate: 'RollingUpdateDeployment',
      type: 'string',
    },
    required: [],
  },
  DownwardAPIProjection: {
    fields: {
      items: '[]DownwardAPIVolumeFile',
    },
    required: [],
  },
  DownwardAPIVolumeFile: {
    fields: {
      fieldRef: 'ObjectFieldSelector',
      mode: 'int32',
      path: 'string',
      resourceFieldRef: 'ResourceFieldSelector',
    },
    required: ['path'],
  },
  DownwardAPIVolumeSource: {
    fields: {
      defaultMode: 'int32',
      items: '[]DownwardAPIVolumeFile',
    },
    required: [],
  },
  EmptyDirVolumeSource: {
    fields: {
      medium: 'string',
      sizeLimit: 'string',
    },
    required: [],
  },
  Endpoint: {
    fields: {
      addresses: '[]string',
      conditions: 'EndpointConditions',
      deprecatedTopology: '{}string',
      hints: 'EndpointHints',
      hostname: 'string',
      nodeName: 'string',
      targetRef: 'ObjectReference',
      zone: 'string',
    },
    required: ['addresses'],
  },
  EndpointAddress: {
    fields: {
      hostname: 'string',
      ip: 'string',
      nodeName: 'string',
      targetRef: 'ObjectReference',
    },
    required: ['ip'],
  },
  EndpointConditions: {
    fields: {
      ready: 'boolean',
      serving: 'boolean',
      terminating: 'boolean',
    },
    required: [],
  },
  EndpointHints: {
    fields: {
      forNodes: '[]ForNode',
      forZones: '[]ForZone',
    },
    required: [],
  },
  EndpointPort: {
    fields: {
      appProtocol: 'string',
      name: 'string',
      port: 'int32',
      protocol: 'string',
    },
    required: [],
  },
  EndpointSlice: {
    fields: {
      addressType: 'string',
      apiVersion: 'string',
      endpoints: '[]Endpoint',
      kind: 'string',
      metadata: 'ObjectMeta',
      ports: '[]EndpointPort',
    },
    required: ['addressType'],
  },
  EndpointSubset: {
    fields: {
      addresses: '[]EndpointAddress',
      notReadyAddresses: '[]EndpointAddress',
      ports: '[]CoreEndpointPort',
    },
    required: [],
  },
  Endpoints: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      subsets: '[]EndpointSubset',
    },
    required: [],
  },
  EnvFromSource: {
    fields: {
      configMapRef: 'ConfigMapEnvSource',
      prefix: 'string',
      secretRef: 'SecretEnvSource',
    },
    required: [],
  },
  EnvVar: {
    fields: {
      name: 'string',
      value: 'string',
      valueFrom: 'EnvVarSource',
    },
    required: ['name'],
  },
  EnvVarSource: {
    fields: {
      configMapKeyRef: 'ConfigMapKeySelector',
      fieldRef: 'ObjectFieldSelector',
      fileKeyRef: 'FileKeySelector',
      resourceFieldRef: 'ResourceFieldSelector',
      secretKeyRef: 'SecretKeySelector',
    },
    required: [],
  },
  EphemeralContainer: {
    fields: {
      args: '[]string',
      command: '[]string',
      env: '[]EnvVar',
      envFrom: '[]EnvFromSource',
      image: 'string',
      imagePullPolicy: 'string',
      lifecycle: 'Lifecycle',
      livenessProbe: 'Probe',
      name: 'string',
      ports: '[]ContainerPort',
      readinessProbe: 'Probe',
      resizePolicy: '[]ContainerResizePolicy',
      resources: 'ResourceRequirements',
      restartPolicy: 'string',
      restartPolicyRules: '[]ContainerRestartRule',
      securityContext: 'SecurityContext',
      startupProbe: 'Probe',
      stdin: 'boolean',
      stdinOnce: 'boolean',
      targetContainerName: 'string',
      terminationMessagePath: 'string',
      terminationMessagePolicy: 'string',
      tty: 'boolean',
      volumeDevices: '[]VolumeDevice',
      volumeMounts: '[]VolumeMount',
      workingDir: 'string',
    },
    required: ['name'],
  },
  EphemeralVolumeSource: {
    fields: {
      volumeClaimTemplate: 'PersistentVolumeClaimTemplate',
    },
    required: [],
  },
  Event: {
    fields: {
      action: 'string',
      apiVersion: 'string',
      deprecatedCount: 'int32',
      deprecatedFirstTimestamp: 'time',
      deprecatedLastTimestamp: 'time',
      deprecatedSource: 'EventSource',
      eventTime: 'time',
      kind: 'string',
      metadata: 'ObjectMeta',
      note: 'string',
      reason: 'string',
      regarding: 'ObjectReference',
      related: 'ObjectReference',
      reportingController: 'string',
      reportingInstance: 'string',
      series: 'EventSeries',
      type: 'string',
    },
    required: ['eventTime'],
  },
  EventSeries: {
    fields: {
      count: 'int32',
      lastObservedTime: 'time',
    },
    required: ['count', 'lastObservedTime'],
  },
  EventSource: {
    fields: {
      component: 'string',
      host: 'string',
    },
    required: [],
  },
  Eviction: {
    fields: {
      apiVersion: 'string',
      deleteOptions: 'DeleteOptions',
      kind: 'string',
      metadata: 'ObjectMeta',
    },
    required: [],
  },
  ExecAction: {
    fields: {
      command: '[]string',
    },
    required: [],
  },
  FCVolumeSource: {
    fields: {
      fsType: 'string',
      lun: 'int32',
      readOnly: 'boolean',
      targetWWNs: '[]string',
      wwids: '[]string',
    },
    required: [],
  },
  FieldSelectorAttributes: {
    fields: {
      rawSelector: 'string',
      requirements: '[]FieldSelectorRequirement',
    },
    required: [],
  },
  FieldSelectorRequirement: {
    fields: {
      key: 'string',
      operator: 'string',
      values: '[]string',
    },
    required: ['key', 'operator'],
  },
  FileKeySelector: {
    fields: {
      key: 'string',
      optional: 'boolean',
      path: 'string',
      volumeName: 'string',
    },
    required: ['key', 'path', 'volumeName'],
  },
  FlexVolumeSource: {
    fields: {
      driver: 'string',
      fsType: 'string',
      options: '{}string',
      readOnly: 'boolean',
      secretRef: 'LocalObjectReference',
    },
    required: ['driver'],
  },
  FlockerVolumeSource: {
    fields: {
      datasetName: 'string',
      datasetUUID: 'string',
    },
    required: [],
  },
  ForNode: {
    fields: {
      name: 'string',
    },
    required: ['name'],
  },
  ForZone: {
    fields: {
      name: 'string',
    },
    required: ['name'],
  },
  GCEPersistentDiskVolumeSource: {
    fields: {
      fsType: 'string',
      partition: 'int32',
      pdName: 'string',
      readOnly: 'boolean',
    },
    required: ['pdName'],
  },
  GRPCAction: {
    fields: {
      port: 'int32',
      service: 'string',
    },
    required: ['port'],
  },
  GitRepoVolumeSource: {
    fields: {
      directory: 'string',
      repository: 'string',
      revision: 'string',
    },
    required: ['repository'],
  },
  GlusterfsVolumeSource: {
    fields: {
      endpoints: 'string',
      path: 'string',
      readOnly: 'boolean',
    },
    required: ['endpoints', 'path'],
  },
  GroupVersionForDiscovery: {
    fields: {
      groupVersion: 'string',
      version: 'string',
    },
    required: ['groupVersion', 'version'],
  },
  HTTPGetAction: {
    fields: {
      host: 'string',
      httpHeaders: '[]HTTPHeader',
      path: 'string',
      port: 'int-or-string',
      scheme: 'string',
    },
    required: ['port'],
  },
  HTTPHeader: {
    fields: {
      name: 'string',
      value: 'string',
    },
    required: ['name', 'value'],
  },
  HostAlias: {
    fields: {
      hostnames: '[]string',
      ip: 'string',
    },
    required: ['ip'],
  },
  HostIP: {
    fields: {
      ip: 'string',
    },
    required: ['ip'],
  },
  HostPathVolumeSource: {
    fields: {
      path: 'string',
      type: 'string',
    },
    required: ['path'],
  },
  IPAddress: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'IPAddressSpec',
    },
    required: ['spec'],
  },
  IPAddressSpec: {
    fields: {
      parentRef: 'ParentReference',
    },
    required: ['parentRef'],
  },
  ISCSIVolumeSource: {
    fields: {
      chapAuthDiscovery: 'boolean',
      chapAuthSession: 'boolean',
      fsType: 'string',
      initiatorName: 'string',
      iqn: 'string',
      iscsiInterface: 'string',
      lun: 'int32',
      portals: '[]string',
      readOnly: 'boolean',
      secretRef: 'LocalObjectReference',
      targetPortal: 'string',
    },
    required: ['iqn', 'lun', 'targetPortal'],
  },
  ImageVolumeSource: {
    fields: {
      pullPolicy: 'string',
      reference: 'string',
    },
    required: [],
  },
  ImageVolumeStatus: {
    fields: {
      imageRef: 'string',
    },
    required: ['imageRef'],
  },
  KeyToPath: {
    fields: {
      key: 'string',
      mode: 'int32',
      path: 'string',
    },
    required: ['key', 'path'],
  },
  LabelSelector: {
    fields: {
      matchExpressions: '[]LabelSelectorRequirement',
      matchLabels: '{}string',
    },
    required: [],
  },
  LabelSelectorAttributes: {
    fields: {
      rawSelector: 'string',
      requirements: '[]LabelSelectorRequirement',
    },
    required: [],
  },
  LabelSelectorRequirement: {
    fields: {
      key: 'string',
      operator: 'string',
      values: '[]string',
    },
    required: ['key', 'operator'],
  },
  Lease: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'LeaseSpec',
    },
    required: [],
  },
  LeaseSpec: {
    fields: {
      acquireTime: 'time',
      holderIdentity: 'string',
      leaseDurationSeconds: 'int32',
      leaseTransitions: 'int32',
      preferredHolder: 'string',
      renewTime: 'time',
      strategy: 'string',
    },
    required: [],
  },
  Lifecycle: {
    fields: {
      postStart: 'LifecycleHandler',
      preStop: 'LifecycleHandler',
      stopSignal: 'string',
    },
    required: [],
  },
  LifecycleHandler: {
    fields: {
      exec: 'ExecAction',
      httpGet: 'HTTPGetAction',
      sleep: 'SleepAction',
      tcpSocket: 'TCPSocketAction',
    },
    required: [],
  },
  LinuxContainerUser: {
    fields: {
      gid: 'int64',
      supplementalGroups: '[]int64',
      uid: 'int64',
    },
    required: ['gid', 'uid'],
  },
  ListMeta: {
    fields: {
      continue: 'string',
      remainingItemCount: 'int64',
      resourceVersion: 'string',
      selfLink: 'string',
      shardInfo: 'ShardInfo',
    },
    required: [],
  },
  LoadBalancerIngress: {
    fields: {
      hostname: 'string',
      ip: 'string',
      ipMode: 'string',
      ports: '[]PortStatus',
    },
    required: [],
  },
  LoadBalancerStatus: {
    fields: {
      ingress: '[]LoadBalancerIngress',
    },
    required: [],
  },
  LocalObjectReference: {
    fields: {
      name: 'string',
    },
    required: [],
  },
  LocalSubjectAccessReview: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'SubjectAccessReviewSpec',
      status: 'SubjectAccessReviewStatus',
    },
    required: ['spec'],
  },
  ManagedFieldsEntry: {
    fields: {
      apiVersion: 'string',
      fieldsType: 'string',
      fieldsV1: 'any',
      manager: 'string',
      operation: 'string',
      subresource: 'string',
      time: 'time',
    },
    required: [],
  },
  ModifyVolumeStatus: {
    fields: {
      status: 'string',
      targetVolumeAttributesClassName: 'string',
    },
    required: ['status'],
  },
  NFSVolumeSource: {
    fields: {
      path: 'string',
      readOnly: 'boolean',
      server: 'string',
    },
    required: ['path', 'server'],
  },
  Namespace: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'NamespaceSpec',
      status: 'NamespaceStatus',
    },
    required: [],
  },
  NamespaceCondition: {
    fields: {
      lastTransitionTime: 'time',
      message: 'string',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
    required: ['status', 'type'],
  },
  NamespaceSpec: {
    fields: {
      finalizers: '[]string',
    },
    required: [],
  },
  NamespaceStatus: {
    fields: {
      conditions: '[]NamespaceCondition',
      phase: 'string',
    },
    required: [],
  },
  Node: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'NodeSpec',
      status: 'NodeStatus',
    },
    required: [],
  },
  NodeAddress: {
    fields: {
      address: 'string',
      type: 'string',
    },
    required: ['address', 'type'],
  },
  NodeAffinity: {
    fields: {
      preferredDuringSchedulingIgnoredDuringExecution: '[]PreferredSchedulingTerm',
      requiredDuringSchedulingIgnoredDuringExecution: 'NodeSelector',
    },
    required: [],
  },
  NodeAllocatableResourceClaimStatus: {
    fields: {
      containers: '[]string',
      resourceClaimName: 'string',
      resources: '{}string',
    },
    required: ['resourceClaimName', 'resources'],
  },
  NodeCondition: {
    fields: {
      lastHeartbeatTime: 'time',
      lastTransitionTime: 'time',
      message: 'string',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
    required: ['status', 'type'],
  },
  NodeConfigSource: {
    fields: {
      configMap: 'ConfigMapNodeConfigSource',
    },
    required: [],
  },
  NodeConfigStatus: {
    fields: {
      active: 'NodeConfigSource',
      assigned: 'NodeConfigSource',
      error: 'string',
      lastKnownGood: 'NodeConfigSource',
    },
    required: [],
  },
  NodeDaemonEndpoints: {
    fields: {
      kubeletEndpoint: 'DaemonEndpoint',
    },
    required: [],
  },
  NodeFeatures: {
    fields: {
      supplementalGroupsPolicy: 'boolean',
    },
    required: [],
  },
  NodeRuntimeHandler: {
    fields: {
      features: 'NodeRuntimeHandlerFeatures',
      name: 'string',
    },
    required: [],
  },
  NodeRuntimeHandlerFeatures: {
    fields: {
      recursiveReadOnlyMounts: 'boolean',
      userNamespaces: 'boolean',
    },
    required: [],
  },
  NodeSelector: {
    fields: {
      nodeSelectorTerms: '[]NodeSelectorTerm',
    },
    required: ['nodeSelectorTerms'],
  },
  NodeSelectorRequirement: {
    fields: {
      key: 'string',
      operator: 'string',
      values: '[]string',
    },
    required: ['key', 'operator'],
  },
  NodeSelectorTerm: {
    fields: {
      matchExpressions: '[]NodeSelectorRequirement',
      matchFields: '[]NodeSelectorRequirement',
    },
    required: [],
  },
  NodeSpec: {
    fields: {
      configSource: 'NodeConfigSource',
      externalID: 'string',
      podCIDR: 'string',
      podCIDRs: '[]string',
      providerID: 'string',
      taints: '[]Taint',
      unschedulable: 'boolean',
    },
    required: [],
  },
  NodeStatus: {
    fields: {
      addresses: '[]NodeAddress',
      allocatable: '{}string',
      capacity: '{}string',
      conditions: '[]NodeCondition',
      config: 'NodeConfigStatus',
      daemonEndpoints: 'NodeDaemonEndpoints',
      declaredFeatures: '[]string',
      features: 'NodeFeatures',
      images: '[]ContainerImage',
      nodeInfo: 'NodeSystemInfo',
      phase: 'string',
      runtimeHandlers: '[]NodeRuntimeHandler',
      volumesAttached: '[]AttachedVolume',
      volumesInUse: '[]string',
    },
    required: [],
  },
  NodeSwapStatus: {
    fields: {
      capacity: 'int64',
    },
    required: [],
  },
  NodeSystemInfo: {
    fields: {
      architecture: 'string',
      bootID: 'string',
      containerRuntimeVersion: 'string',
      kernelVersion: 'string',
      kubeProxyVersion: 'string',
      kubeletVersion: 'string',
      machineID: 'string',
      operatingSystem: 'string',
      osImage: 'string',
      swap: 'NodeSwapStatus',
      systemUUID: 'string',
    },
    required: ['architecture', 'bootID', 'containerRuntimeVersion', 'kernelVersion', 'kubeProxyVersion', 'kubeletVersion', 'machineID', 'operatingSystem', 'osImage', 'systemUUID'],
  },
  NonResourceAttributes: {
    fields: {
      path: 'string',
      verb: 'string',
    },
    required: [],
  },
  NonResourceRule: {
    fields: {
      nonResourceURLs: '[]string',
      verbs: '[]string',
    },
    required: ['verbs'],
  },
  ObjectFieldSelector: {
    fields: {
      apiVersion: 'string',
      fieldPath: 'string',
    },
    required: ['fieldPath'],
  },
  ObjectMeta: {
    fields: {
      annotations: '{}string',
      creationTimestamp: 'time',
      deletionGracePeriodSeconds: 'int64',
      deletionTimestamp: 'time',
      finalizers: '[]string',
      generateName: 'string',
      generation: 'int64',
      labels: '{}string',
      managedFields: '[]ManagedFieldsEntry',
      name: 'string',
      namespace: 'string',
      ownerReferences: '[]OwnerReference',
      resourceVersion: 'string',
      selfLink: 'string',
      uid: 'string',
    },
    required: [],
  },
  ObjectReference: {
    fields: {
      apiVersion: 'string',
      fieldPath: 'string',
      kind: 'string',
      name: 'string',
      namespace: 'string',
      resourceVersion: 'string',
      uid: 'string',
    },
    required: [],
  },
  OwnerReference: {
    fields: {
      apiVersion: 'string',
      blockOwnerDeletion: 'boolean',
      controller: 'boolean',
      kind: 'string',
      name: 'string',
      uid: 'string',
    },
    required: ['apiVersion', 'kind', 'name', 'uid'],
  },
  ParentReference: {
    fields: {
      group: 'string',
      name: 'string',
      namespace: 'string',
      resource: 'string',
    },
    required: ['name', 'resource'],
  },
  PersistentVolumeClaim: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'PersistentVolumeClaimSpec',
      status: 'PersistentVolumeClaimStatus',
    },
    required: [],
  },
  PersistentVolumeClaimCondition: {
    fields: {
      lastProbeTime: 'time',
      lastTransitionTime: 'time',
      message: 'string',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
    required: ['status', 'type'],
  },
  PersistentVolumeClaimSpec: {
    fields: {
      accessModes: '[]string',
      dataSource: 'TypedLocalObjectReference',
      dataSourceRef: 'TypedObjectReference',
      resources: 'VolumeResourceRequirements',
      selector: 'LabelSelector',
      storageClassName: 'string',
      volumeAttributesClassName: 'string',
      volumeMode: 'string',
      volumeName: 'string',
    },
    required: [],
  },
  PersistentVolumeClaimStatus: {
    fields: {
      accessModes: '[]string',
      allocatedResourceStatuses: '{}string',
      allocatedResources: '{}string',
      capacity: '{}string',
      conditions: '[]PersistentVolumeClaimCondition',
      currentVolumeAttributesClassName: 'string',
      modifyVolumeStatus: 'ModifyVolumeStatus',
      phase: 'string',
    },
    required: [],
  },
  PersistentVolumeClaimTemplate: {
    fields: {
      metadata: 'ObjectMeta',
      spec: 'PersistentVolumeClaimSpec',
    },
    required: ['spec'],
  },
  PersistentVolumeClaimVolumeSource: {
    fields: {
      claimName: 'string',
      readOnly: 'boolean',
    },
    required: ['claimName'],
  },
  PhotonPersistentDiskVolumeSource: {
    fields: {
      fsType: 'string',
      pdID: 'string',
    },
    required: ['pdID'],
  },
  Pod: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'PodSpec',
      status: 'PodStatus',
    },
    required: [],
  },
  PodAffinity: {
    fields: {
      preferredDuringSchedulingIgnoredDuringExecution: '[]WeightedPodAffinityTerm',
      requiredDuringSchedulingIgnoredDuringExecution: '[]PodAffinityTerm',
    },
    required: [],
  },
  PodAffinityTerm: {
    fields: {
      labelSelector: 'LabelSelector',
      matchLabelKeys: '[]string',
      mismatchLabelKeys: '[]string',
      namespaceSelector: 'LabelSelector',
      namespaces: '[]string',
      topologyKey: 'string',
    },
    required: ['topologyKey'],
  },
  PodAntiAffinity: {
    fields: {
      preferredDuringSchedulingIgnoredDuringExecution: '[]WeightedPodAffinityTerm',
      requiredDuringSchedulingIgnoredDuringExecution: '[]PodAffinityTerm',
    },
    required: [],
  },
  PodCertificateProjection: {
    fields: {
      certificateChainPath: 'string',
      credentialBundlePath: 'string',
      keyPath: 'string',
      keyType: 'string',
      maxExpirationSeconds: 'int32',
      signerName: 'string',
      userAnnotations: '{}string',
    },
    required: ['keyType', 'signerName'],
  },
  PodCondition: {
    fields: {
      lastProbeTime: 'time',
      lastTransitionTime: 'time',
      message: 'string',
      observedGeneration: 'int64',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
    required: ['status', 'type'],
  },
  PodDNSConfig: {
    fields: {
      nameservers: '[]string',
      options: '[]PodDNSConfigOption',
      searches: '[]string',
    },
    required: [],
  },
  PodDNSConfigOption: {
    fields: {
      name: 'string',
      value: 'string',
    },
    required: [],
  },
  PodExtendedResourceClaimStatus: {
    fields: {
      requestMappings: '[]ContainerExtendedResourceRequest',
      resourceClaimName: 'string',
    },
    required: ['requestMappings', 'resourceClaimName'],
  },
  PodIP: {
    fields: {
      ip: 'string',
    },
    required: ['ip'],
  },
  PodOS: {
    fields: {
      name: 'string',
    },
    required: ['name'],
  },
  PodReadinessGate: {
    fields: {
      conditionType: 'string',
    },
    required: ['conditionType'],
  },
  PodResourceClaim: {
    fields: {
      name: 'string',
      resourceClaimName: 'string',
      resourceClaimTemplateName: 'string',
    },
    required: ['name'],
  },
  PodResourceClaimStatus: {
    fields: {
      name: 'string',
      resourceClaimName: 'string',
    },
    required: ['name'],
  },
  PodSchedulingGate: {
    fields: {
      name: 'string',
    },
    required: ['name'],
  },
  PodSchedulingGroup: {
    fields: {
      podGroupName: 'string',
    },
    required: [],
  },
  PodSecurityContext: {
    fields: {
      appArmorProfile: 'AppArmorProfile',
      fsGroup: 'int64',
      fsGroupChangePolicy: 'string',
      runAsGroup: 'int64',
      runAsNonRoot: 'boolean',
      runAsUser: 'int64',
      seLinuxChangePolicy: 'string',
      seLinuxOptions: 'SELinuxOptions',
      seccompProfile: 'SeccompProfile',
      supplementalGroups: '[]int64',
      supplementalGroupsPolicy: 'string',
      sysctls: '[]Sysctl',
      windowsOptions: 'WindowsSecurityContextOptions',
    },
    required: [],
  },
  PodSpec: {
    fields: {
      activeDeadlineSeconds: 'int64',
      affinity: 'Affinity',
      automountServiceAccountToken: 'boolean',
      containers: '[]Container',
      dnsConfig: 'PodDNSConfig',
      dnsPolicy: 'string',
      enableServiceLinks: 'boolean',
      ephemeralContainers: '[]EphemeralContainer',
      hostAliases: '[]HostAlias',
      hostIPC: 'boolean',
      hostNetwork: 'boolean',
      hostPID: 'boolean',
      hostUsers: 'boolean',
      hostname: 'string',
      hostnameOverride: 'string',
      imagePullSecrets: '[]LocalObjectReference',
      initContainers: '[]Container',
      nodeName: 'string',
      nodeSelector: '{}string',
      os: 'PodOS',
      overhead: '{}string',
      preemptionPolicy: 'string',
      priority: 'int32',
      priorityClassName: 'string',
      readinessGates: '[]PodReadinessGate',
      resourceClaims: '[]PodResourceClaim',
      resources: 'ResourceRequirements',
      restartPolicy: 'string',
      runtimeClassName: 'string',
      schedulerName: 'string',
      schedulingGates: '[]PodSchedulingGate',
      schedulingGroup: 'PodSchedulingGroup',
      securityContext: 'PodSecurityContext',
      serviceAccount: 'string',
      serviceAccountName: 'string',
      setHostnameAsFQDN: 'boolean',
      shareProcessNamespace: 'boolean',
      subdomain: 'string',
      terminationGracePeriodSeconds: 'int64',
      tolerations: '[]Toleration',
      topologySpreadConstraints: '[]TopologySpreadConstraint',
      volumes: '[]Volume',
    },
    required: ['containers'],
  },
  PodStatus: {
    fields: {
      allocatedResources: '{}string',
      conditions: '[]PodCondition',
      containerStatuses: '[]ContainerStatus',
      ephemeralContainerStatuses: '[]ContainerStatus',
      extendedResourceClaimStatus: 'PodExtendedResourceClaimStatus',
      hostIP: 'string',
      hostIPs: '[]HostIP',
      initContainerStatuses: '[]ContainerStatus',
      message: 'string',
      nodeAllocatableResourceClaimStatuses: '[]NodeAllocatableResourceClaimStatus',
      nominatedNodeName: 'string',
      observedGeneration: 'int64',
      phase: 'string',
      podIP: 'string',
      podIPs: '[]PodIP',
      qosClass: 'string',
      reason: 'string',
      resize: 'string',
      resourceClaimStatuses: '[]PodResourceClaimStatus',
      resources: 'ResourceRequirements',
      startTime: 'time',
    },
    required: [],
  },
  PodTemplateSpec: {
    fields: {
      metadata: 'ObjectMeta',
      spec: 'PodSpec',
    },
    required: [],
  },
  PolicyRule: {
    fields: {
      apiGroups: '[]string',
      nonResourceURLs: '[]string',
      resourceNames: '[]string',
      resources: '[]string',
      verbs: '[]string',
    },
    required: ['verbs'],
  },
  PortStatus: {
    fields: {
      error: 'string',
      port: 'int32',
      protocol: 'string',
    },
    required: ['port', 'protocol'],
  },
  PortworxVolumeSource: {
    fields: {
      fsType: 'string',
      readOnly: 'boolean',
      volumeID: 'string',
    },
    required: ['volumeID'],
  },
  Preconditions: {
    fields: {
      resourceVersion: 'string',
      uid: 'string',
    },
    required: [],
  },
  PreferredSchedulingTerm: {
    fields: {
      preference: 'NodeSelectorTerm',
      weight: 'int32',
    },
    required: ['preference', 'weight'],
  },
  Probe: {
    fields: {
      exec: 'ExecAction',
      failureThreshold: 'int32',
      grpc: 'GRPCAction',
      httpGet: 'HTTPGetAction',
      initialDelaySeconds: 'int32',
      periodSeconds: 'int32',
      successThreshold: 'int32',
      tcpSocket: 'TCPSocketAction',
      terminationGracePeriodSeconds: 'int64',
      timeoutSeconds: 'int32',
    },
    required: [],
  },
  ProjectedVolumeSource: {
    fields: {
      defaultMode: 'int32',
      sources: '[]VolumeProjection',
    },
    required: [],
  },
  QuobyteVolumeSource: {
    fields: {
      group: 'string',
      readOnly: 'boolean',
      registry: 'string',
      tenant: 'string',
      user: 'string',
      volume: 'string',
    },
    required: ['registry', 'volume'],
  },
  RBDVolumeSource: {
    fields: {
      fsType: 'string',
      image: 'string',
      keyring: 'string',
      monitors: '[]string',
      pool: 'string',
      readOnly: 'boolean',
      secretRef: 'LocalObjectReference',
      user: 'string',
    },
    required: ['image', 'monitors'],
  },
  ReplicaSet: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'ReplicaSetSpec',
      status: 'ReplicaSetStatus',
    },
    required: [],
  },
  ReplicaSetCondition: {
    fields: {
      lastTransitionTime: 'time',
      message: 'string',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
    required: ['status', 'type'],
  },
  ReplicaSetSpec: {
    fields: {
      minReadySeconds: 'int32',
      replicas: 'int32',
      selector: 'LabelSelector',
      template: 'PodTemplateSpec',
    },
    required: ['selector'],
  },
  ReplicaSetStatus: {
    fields: {
      availableReplicas: 'int32',
      conditions: '[]ReplicaSetCondition',
      fullyLabeledReplicas: 'int32',
      observedGeneration: 'int64',
      readyReplicas: 'int32',
      replicas: 'int32',
      terminatingReplicas: 'int32',
    },
    required: ['replicas'],
  },
  ResourceAttributes: {
    fields: {
      fieldSelector: 'FieldSelectorAttributes',
      group: 'string',
      labelSelector: 'LabelSelectorAttributes',
      name: 'string',
      namespace: 'string',
      resource: 'string',
      subresource: 'string',
      verb: 'string',
      version: 'string',
    },
    required: [],
  },
  ResourceFieldSelector: {
    fields: {
      containerName: 'string',
      divisor: 'string',
      resource: 'string',
    },
    required: ['resource'],
  },
  ResourceHealth: {
    fields: {
      health: 'string',
      message: 'string',
      resourceID: 'string',
    },
    required: ['resourceID'],
  },
  ResourceRequirements: {
    fields: {
      claims: '[]CoreResourceClaim',
      limits: '{}string',
      requests: '{}string',
    },
    required: [],
  },
  ResourceRule: {
    fields: {
      apiGroups: '[]string',
      resourceNames: '[]string',
      resources: '[]string',
      verbs: '[]string',
    },
    required: ['verbs'],
  },
  ResourceStatus: {
    fields: {
      name: 'string',
      resources: '[]ResourceHealth',
    },
    required: ['name'],
  },
  Role: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      rules: '[]PolicyRule',
    },
    required: [],
  },
  RoleBinding: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      roleRef: 'RoleRef',
      subjects: '[]Subject',
    },
    required: ['roleRef'],
  },
  RoleRef: {
    fields: {
      apiGroup: 'string',
      kind: 'string',
      name: 'string',
    },
    required: ['kind', 'name'],
  },
  RollingUpdateDaemonSet: {
    fields: {
      maxSurge: 'int-or-string',
      maxUnavailable: 'int-or-string',
    },
    required: [],
  },
  RollingUpdateDeployment: {
    fields: {
      maxSurge: 'int-or-string',
      maxUnavailable: 'int-or-string',
    },
    required: [],
  },
  RollingUpdateStatefulSetStrategy: {
    fields: {
      maxUnavailable: 'int-or-string',
      partition: 'int32',
    },
    required: [],
  },
  SELinuxOptions: {
    fields: {
      level: 'string',
      role: 'string',
      type: 'string',
      user: 'string',
    },
    required: [],
  },
  Scale: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'ScaleSpec',
      status: 'ScaleStatus',
    },
    required: [],
  },
  ScaleIOVolumeSource: {
    fields: {
      fsType: 'string',
      gateway: 'string',
      protectionDomain: 'string',
      readOnly: 'boolean',
      secretRef: 'LocalObjectReference',
      sslEnabled: 'boolean',
      storageMode: 'string',
      storagePool: 'string',
      system: 'string',
      volumeName: 'string',
    },
    required: ['gateway', 'secretRef', 'system'],
  },
  ScaleSpec: {
    fields: {
      replicas: 'int32',
    },
    required: [],
  },
  ScaleStatus: {
    fields: {
      replicas: 'int32',
      selector: 'string',
    },
    required: ['replicas'],
  },
  SeccompProfile: {
    fields: {
      localhostProfile: 'string',
      type: 'string',
    },
    required: ['type'],
  },
  Secret: {
    fields: {
      apiVersion: 'string',
      data: '{}bytes',
      immutable: 'boolean',
      kind: 'string',
      metadata: 'ObjectMeta',
      stringData: '{}string',
      type: 'string',
    },
    required: [],
  },
  SecretEnvSource: {
    fields: {
      name: 'string',
      optional: 'boolean',
    },
    required: [],
  },
  SecretKeySelector: {
    fields: {
      key: 'string',
      name: 'string',
      optional: 'boolean',
    },
    required: ['key'],
  },
  SecretProjection: {
    fields: {
      items: '[]KeyToPath',
      name: 'string',
      optional: 'boolean',
    },
    required: [],
  },
  SecretVolumeSource: {
    fields: {
      defaultMode: 'int32',
      items: '[]KeyToPath',
      optional: 'boolean',
      secretName: 'string',
    },
    required: [],
  },
  SecurityContext: {
    fields: {
      allowPrivilegeEscalation: 'boolean',
      appArmorProfile: 'AppArmorProfile',
      capabilities: 'Capabilities',
      privileged: 'boolean',
      procMount: 'string',
      readOnlyRootFilesystem: 'boolean',
      runAsGroup: 'int64',
      runAsNonRoot: 'boolean',
      runAsUser: 'int64',
      seLinuxOptions: 'SELinuxOptions',
      seccompProfile: 'SeccompProfile',
      windowsOptions: 'WindowsSecurityContextOptions',
    },
    required: [],
  },
  SelfSubjectAccessReview: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'SelfSubjectAccessReviewSpec',
      status: 'SubjectAccessReviewStatus',
    },
    required: ['spec'],
  },
  SelfSubjectAccessReviewSpec: {
    fields: {
      nonResourceAttributes: 'NonResourceAttributes',
      resourceAttributes: 'ResourceAttributes',
    },
    required: [],
  },
  SelfSubjectReview: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      status: 'SelfSubjectReviewStatus',
    },
    required: [],
  },
  SelfSubjectReviewStatus: {
    fields: {
      userInfo: 'UserInfo',
    },
    required: [],
  },
  SelfSubjectRulesReview: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'SelfSubjectRulesReviewSpec',
      status: 'SubjectRulesReviewStatus',
    },
    required: ['spec'],
  },
  SelfSubjectRulesReviewSpec: {
    fields: {
      namespace: 'string',
    },
    required: [],
  },
  ServerAddressByClientCIDR: {
    fields: {
      clientCIDR: 'string',
      serverAddress: 'string',
    },
    required: ['clientCIDR', 'serverAddress'],
  },
  Service: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'ServiceSpec',
      status: 'ServiceStatus',
    },
    required: [],
  },
  ServiceAccount: {
    fields: {
      apiVersion: 'string',
      automountServiceAccountToken: 'boolean',
      imagePullSecrets: '[]LocalObjectReference',
      kind: 'string',
      metadata: 'ObjectMeta',
      secrets: '[]ObjectReference',
    },
    required: [],
  },
  ServiceAccountTokenProjection: {
    fields: {
      audience: 'string',
      expirationSeconds: 'int64',
      path: 'string',
    },
    required: ['path'],
  },
  ServiceCIDR: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'ServiceCIDRSpec',
      status: 'ServiceCIDRStatus',
    },
    required: [],
  },
  ServiceCIDRSpec: {
    fields: {
      cidrs: '[]string',
    },
    required: [],
  },
  ServiceCIDRStatus: {
    fields: {
      conditions: '[]Condition',
    },
    required: [],
  },
  ServicePort: {
    fields: {
      appProtocol: 'string',
      name: 'string',
      nodePort: 'int32',
      port: 'int32',
      protocol: 'string',
      targetPort: 'int-or-string',
    },
    required: ['port'],
  },
  ServiceSpec: {
    fields: {
      allocateLoadBalancerNodePorts: 'boolean',
      clusterIP: 'string',
      clusterIPs: '[]string',
      externalIPs: '[]string',
      externalName: 'string',
      externalTrafficPolicy: 'string',
      healthCheckNodePort: 'int32',
      internalTrafficPolicy: 'string',
      ipFamilies: '[]string',
      ipFamilyPolicy: 'string',
      loadBalancerClass: 'string',
      loadBalancerIP: 'string',
      loadBalancerSourceRanges: '[]string',
      ports: '[]ServicePort',
      publishNotReadyAddresses: 'boolean',
      selector: '{}string',
      sessionAffinity: 'string',
      sessionAffinityConfig: 'SessionAffinityConfig',
      trafficDistribution: 'string',
      type: 'string',
    },
    required: [],
  },
  ServiceStatus: {
    fields: {
      conditions: '[]Condition',
      loadBalancer: 'LoadBalancerStatus',
    },
    required: [],
  },
  SessionAffinityConfig: {
    fields: {
      clientIP: 'ClientIPConfig',
    },
    required: [],
  },
  ShardInfo: {
    fields: {
      selector: 'string',
    },
    required: ['selector'],
  },
  SleepAction: {
    fields: {
      seconds: 'int64',
    },
    required: ['seconds'],
  },
  StatefulSet: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'StatefulSetSpec',
      status: 'StatefulSetStatus',
    },
    required: [],
  },
  StatefulSetCondition: {
    fields: {
      lastTransitionTime: 'time',
      message: 'string',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
    required: ['status', 'type'],
  },
  StatefulSetOrdinals: {
    fields: {
      start: 'int32',
    },
    required: [],
  },
  StatefulSetPersistentVolumeClaimRetentionPolicy: {
    fields: {
      whenDeleted: 'string',
      whenScaled: 'string',
    },
    required: [],
  },
  StatefulSetSpec: {
    fields: {
      minReadySeconds: 'int32',
      ordinals: 'StatefulSetOrdinals',
      persistentVolumeClaimRetentionPolicy: 'StatefulSetPersistentVolumeClaimRetentionPolicy',
      podManagementPolicy: 'string',
      replicas: 'int32',
      revisionHistoryLimit: 'int32',
      selector: 'LabelSelector',
      serviceName: 'string',
      template: 'PodTemplateSpec',
      updateStrategy: 'StatefulSetUpdateStrategy',
      volumeClaimTemplates: '[]PersistentVolumeClaim',
    },
    required: ['selector', 'template'],
  },
  StatefulSetStatus: {
    fields: {
      availableReplicas: 'int32',
      collisionCount: 'int32',
      conditions: '[]StatefulSetCondition',
      currentReplicas: 'int32',
      currentRevision: 'string',
      observedGeneration: 'int64',
      readyReplicas: 'int32',
      replicas: 'int32',
      updateRevision: 'string',
      updatedReplicas: 'int32',
    },
    required: ['replicas'],
  },
  StatefulSetUpdateStrategy: {
    fields: {
      rollingUpdate: 'RollingUpdateStatefulSetStrategy',
      type: 'string',
    },
    required: [],
  },
  Status: {
    fields: {
      apiVersion: 'string',
      code: 'int32',
      details: 'StatusDetails',
      kind: 'string',
      message: 'string',
      metadata: 'ListMeta',
      reason: 'string',
      status: 'string',
    },
    required: [],
  },
  StatusCause: {
    fields: {
      field: 'string',
      message: 'string',
      reason: 'string',
    },
    required: [],
  },
  StatusDetails: {
    fields: {
      causes: '[]StatusCause',
      group: 'string',
      kind: 'string',
      name: 'string',
      retryAfterSeconds: 'int32',
      uid: 'string',
    },
    required: [],
  },
  StorageOSVolumeSource: {
    fields: {
      fsType: 'string',
      readOnly: 'boolean',
      secretRef: 'LocalObjectReference',
      volumeName: 'string',
      volumeNamespace: 'string',
    },
    required: [],
  },
  Subject: {
    fields: {
      apiGroup: 'string',
      kind: 'string',
      name: 'string',
      namespace: 'string',
    },
    required: ['kind', 'name'],
  },
  SubjectAccessReview: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'SubjectAccessReviewSpec',
      status: 'SubjectAccessReviewStatus',
    },
    required: ['spec'],
  },
  SubjectAccessReviewSpec: {
    fields: {
      extra: '{}[]string',
      groups: '[]string',
      nonResourceAttributes: 'NonResourceAttributes',
      resourceAttributes: 'ResourceAttributes',
      uid: 'string',
      user: 'string',
    },
    required: [],
  },
  SubjectAccessReviewStatus: {
    fields: {
      allowed: 'boolean',
      denied: 'boolean',
      evaluationError: 'string',
      reason: 'string',
    },
    required: ['allowed'],
  },
  SubjectRulesReviewStatus: {
    fields: {
      evaluationError: 'string',
      incomplete: 'boolean',
      nonResourceRules: '[]NonResourceRule',
      resourceRules: '[]ResourceRule',
    },
    required: ['incomplete', 'nonResourceRules', 'resourceRules'],
  },
  Sysctl: {
    fields: {
      name: 'string',
      value: 'string',
    },
    required: ['name', 'value'],
  },
  TCPSocketAction: {
    fields: {
      host: 'string',
      port: 'int-or-string',
    },
    required: ['port'],
  },
  Taint: {
    fields: {
      effect: 'string',
      key: 'string',
      timeAdded: 'time',
      value: 'string',
    },
    required: ['effect', 'key'],
  },
  TokenRequest: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'TokenRequestSpec',
      status: 'TokenRequestStatus',
    },
    required: [],
  },
  TokenRequestSpec: {
    fields: {
      audiences: '[]string',
      boundObjectRef: 'BoundObjectReference',
      expirationSeconds: 'int64',
    },
    required: [],
  },
  TokenRequestStatus: {
    fields: {
      expirationTimestamp: 'time',
      token: 'string',
    },
    required: [],
  },
  TokenReview: {
    fields: {
      apiVersion: 'string',
      kind: 'string',
      metadata: 'ObjectMeta',
      spec: 'TokenReviewSpec',
      status: 'TokenReviewStatus',
    },
    required: ['spec'],
  },
  TokenReviewSpec: {
    fields: {
      audiences: '[]string',
      token: 'string',
    },
    required: ['token'],
  },
  TokenReviewStatus: {
    fields: {
      audiences: '[]string',
      authenticated: 'boolean',
      error: 'string',
      user: 'UserInfo',
    },
    required: [],
  },
  Toleration: {
    fields: {
      effect: 'string',
      key: 'string',
      operator: 'string',
      tolerationSeconds: 'int64',
      value: 'string',
    },
    required: [],
  },
  TopologySpreadConstraint: {
    fields: {
      labelSelector: 'LabelSelector',
      matchLabelKeys: '[]string',
      maxSkew: 'int32',
      minDomains: 'int32',
      nodeAffinityPolicy: 'string',
      nodeTaintsPolicy: 'string',
      topologyKey: 'string',
      whenUnsatisfiable: 'string',
    },
    required: ['maxSkew', 'topologyKey', 'whenUnsatisfiable'],
  },
  TypedLocalObjectReference: {
    fields: {
      apiGroup: 'string',
      kind: 'string',
      name: 'string',
    },
    required: ['kind', 'name'],
  },
  TypedObjectReference: {
    fields: {
      apiGroup: 'string',
      kind: 'string',
      name: 'string',
      namespace: 'string',
    },
    required: ['kind', 'name'],
  },
  UserInfo: {
    fields: {
      extra: '{}[]string',
      groups: '[]string',
      uid: 'string',
      username: 'string',
    },
    required: [],
  },
  Volume: {
    fields: {
      awsElasticBlockStore: 'AWSElasticBlockStoreVolumeSource',
      azureDisk: 'AzureDiskVolumeSource',
      azureFile: 'AzureFileVolumeSource',
      cephfs: 'CephFSVolumeSource',
      cinder: 'CinderVolumeSource',
      configMap: 'ConfigMapVolumeSource',
      csi: 'CSIVolumeSource',
      downwardAPI: 'DownwardAPIVolumeSource',
      emptyDir: 'EmptyDirVolumeSource',
      ephemeral: 'EphemeralVolumeSource',
      fc: 'FCVolumeSource',
      flexVolume: 'FlexVolumeSource',
      flocker: 'FlockerVolumeSource',
      gcePersistentDisk: 'GCEPersistentDiskVolumeSource',
      gitRepo: 'GitRepoVolumeSource',
      glusterfs: 'GlusterfsVolumeSource',
      hostPath: 'HostPathVolumeSource',
      image: 'ImageVolumeSource',
      iscsi: 'ISCSIVolumeSource',
      name: 'string',
      nfs: 'NFSVolumeSource',
      persistentVolumeClaim: 'PersistentVolumeClaimVolumeSource',
      photonPersistentDisk: 'PhotonPersistentDiskVolumeSource',
      portworxVolume: 'PortworxVolumeSource',
      projected: 'ProjectedVolumeSource',
      quobyte: 'QuobyteVolumeSource',
      rbd: 'RBDVolumeSource',
      scaleIO: 'ScaleIOVolumeSource',
      secret: 'SecretVolumeSource',
      storageos: 'StorageOSVolumeSource',
      vsphereVolume: 'VsphereVirtualDiskVolumeSource',
    },
    required: ['name'],
  },
  VolumeDevice: {
    fields: {
      devicePath: 'string',
      name: 'string',
    },
    required: ['devicePath', 'name'],
  },
  VolumeMount: {
    fields: {
      mountPath: 'string',
      mountPropagation: 'string',
      name: 'string',
      readOnly: 'boolean',
      recursiveReadOnly: 'string',
      subPath: 'string',
      subPathExpr: 'string',
    },
    required: ['mountPath', 'name'],
  },
  VolumeMountStatus: {
    fields: {
      mountPath: 'string',
      name: 'string',
      readOnly: 'boolean',
      recursiveReadOnly: 'string',
      volumeStatus: 'VolumeStatus',
    },
    required: ['mountPath', 'name'],
  },
  VolumeProjection: {
    fields: {
      clusterTrustBundle: 'ClusterTrustBundleProjection',
      configMap: 'ConfigMapProjection',
      downwardAPI: 'DownwardAPIProjection',
      podCertificate: 'PodCertificateProjection',
      secret: 'SecretProjection',
      serviceAccountToken: 'ServiceAccountTokenProjection',
    },
    required: [],
  },
  VolumeResourceRequirements: {
    fields: {
      limits: '{}string',
      requests: '{}string',
    },
    required: [],
  },
  VolumeStatus: {
    fields: {
      image: 'ImageVolumeStatus',
    },
    required: [],
  },
  VsphereVirtualDiskVolumeSource: {
    fields: {
      fsType: 'string',
      storagePolicyID: 'string',
      storagePolicyName: 'string',
      volumePath: 'string',
    },
    required: ['volumePath'],
  },
  WeightedPodAffinityTerm: {
    fields: {
      podAffinityTerm: 'PodAffinityTerm',
      weight: 'int32',
    },
    required: ['podAffinityTerm', 'weight'],
  },
  WindowsSecurityContextOptions: {
    fields: {
      gmsaCredentialSpec: 'string',
      gmsaCredentialSpecName: 'string',
      hostProcess: 'boolean',
      runAsUserName: 'string',
    },
    required: [],
  },
};
