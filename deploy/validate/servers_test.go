package validate

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// What the manifests mean, beyond being well formed.

// labelsFit says whether a selector chooses a pod's labels.
func labelsFit(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// Selectors choose the servers, and only them: the audit's pods get no requests and count for no budget.
func TestSelectorsChooseTheServers(t *testing.T) {
	for _, overlay := range overlays {
		objects := build(t, overlay)
		servers := one[apps.Deployment](t, objects).Spec.Template.Labels
		audit := one[batch.CronJob](t, objects).Spec.JobTemplate.Spec.Template.Labels
		check := func(what string, selector map[string]string) {
			if !labelsFit(selector, servers) || labelsFit(selector, audit) {
				t.Errorf("%s: %s selects %v; servers are %v, the audit is %v", overlay, what, selector, servers, audit)
			}
		}
		check("the deployment", one[apps.Deployment](t, objects).Spec.Selector.MatchLabels)
		check("the budget", one[policy.PodDisruptionBudget](t, objects).Spec.Selector.MatchLabels)
		for _, s := range find[core.Service](objects) {
			check("the service "+s.Name, s.Spec.Selector)
		}
		pod := one[apps.Deployment](t, objects).Spec.Template.Spec
		for _, c := range pod.TopologySpreadConstraints {
			check("spreading over "+c.TopologyKey, c.LabelSelector.MatchLabels)
		}
		for _, term := range pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			check("anti-affinity", term.LabelSelector.MatchLabels)
		}
	}
}

// seconds reads a flag of the servers.
func seconds(t testing.TB, args []string, name string) int64 {
	t.Helper()
	for _, a := range args {
		if text, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("--%s is not given", name)
	return 0
}

// A server that is told to end serves on while load balancers learn of it, then drains, and is killed by nobody meanwhile.
// `muster serve` needs up to --drain-seconds each for its requests and for its background work.
func TestServersEndInTime(t *testing.T) {
	for _, overlay := range overlays {
		pod := one[apps.Deployment](t, build(t, overlay)).Spec.Template.Spec
		c := pod.Containers[0]
		drain := seconds(t, c.Args, "drain-seconds")
		wait := c.Lifecycle.PreStop.Sleep.Seconds
		if need := wait + 2*drain; *pod.TerminationGracePeriodSeconds < need {
			t.Errorf("%s: killed after %d s, and may need %d", overlay, *pod.TerminationGracePeriodSeconds, need)
		}
		if notice := int64(c.ReadinessProbe.PeriodSeconds * c.ReadinessProbe.FailureThreshold); wait < notice {
			t.Errorf("%s: waits %d s for load balancers that may need %d", overlay, wait, notice)
		}
	}
}

// Ledger and inventory are everybody's: a probe that asks for them, after a server has begun, would take all servers out at
// once, and kill them when it is the liveness probe.
func TestProbesAskTheServerOnly(t *testing.T) {
	for _, overlay := range overlays {
		c := one[apps.Deployment](t, build(t, overlay)).Spec.Template.Spec.Containers[0]
		ops := map[string]int32{}
		for _, p := range c.Ports {
			ops[p.Name] = p.ContainerPort
		}
		for path, probe := range map[string]*core.Probe{"/readyz": c.StartupProbe, "/healthz": c.LivenessProbe} {
			if probe.HTTPGet.Path != path || ops[probe.HTTPGet.Port.String()] != 9090 {
				t.Errorf("%s: a probe asks %+v, want %s", overlay, probe.HTTPGet, path)
			}
		}
		if c.ReadinessProbe.HTTPGet.Path != "/healthz" {
			t.Errorf("%s: readiness asks %s", overlay, c.ReadinessProbe.HTTPGet.Path)
		}
		if c.StartupProbe.PeriodSeconds*c.StartupProbe.FailureThreshold < 300 {
			t.Errorf("%s: a server has less than five minutes to read its catalogue", overlay)
		}
		if !slices.Contains(c.Args, "--listen=0.0.0.0:8080") || !slices.Contains(c.Args, "--ops-listen=0.0.0.0:9090") || ops["http"] != 8080 {
			t.Errorf("%s: the ports are %v, the arguments %v", overlay, ops, c.Args)
		}
	}
}

// No pod may more than it must.
func TestPodsMayLittle(t *testing.T) {
	for _, folder := range append([]string{"overlays/production/migrate"}, overlays...) {
		all := pods(build(t, folder))
		if len(all) == 0 {
			t.Errorf("%s runs nothing", folder)
		}
		for _, pod := range all {
			c := pod.Containers[0]
			s, p := c.SecurityContext, pod.SecurityContext
			switch {
			case s == nil || p == nil:
				t.Errorf("%s: %v has no security context", folder, c.Args)
			case *s.AllowPrivilegeEscalation, !*s.ReadOnlyRootFilesystem, !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}),
				!*p.RunAsNonRoot, *p.RunAsUser == 0, p.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault, *pod.AutomountServiceAccountToken:
				t.Errorf("%s: %v may too much: %+v %+v", folder, c.Args, s, p)
			case c.Resources.Requests.Cpu().IsZero(), c.Resources.Requests.Memory().IsZero(), c.Resources.Limits.Memory().IsZero():
				t.Errorf("%s: %v asks for no resources, or is not bounded", folder, c.Args)
			case !strings.HasPrefix(c.Image, "registry.example.org/muster:") || strings.HasSuffix(c.Image, ":latest"):
				t.Errorf("%s: %v runs the image %s", folder, c.Args, c.Image)
			}
			for _, e := range c.Env {
				secret := strings.Contains(e.Name, "REDIS") || strings.Contains(e.Name, "LEDGER") || strings.Contains(e.Name, "SECRET")
				if secret && (e.Value != "" || e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil) {
					t.Errorf("%s: %s is not taken from a secret", folder, e.Name)
				}
			}
			mounted(t, folder, pod)
		}
	}
}

// mounted checks that each mount has its volume, and each file that an argument names its mount.
func mounted(t *testing.T, folder string, pod *core.PodSpec) {
	volumes, paths := map[string]bool{}, []string{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("%s: no volume %s", folder, m.Name)
		}
		paths = append(paths, m.MountPath)
	}
	for _, a := range pod.Containers[0].Args {
		_, file, ok := strings.Cut(a, "-file=")
		if ok && !slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(file, p+"/") }) {
			t.Errorf("%s: %s is nowhere mounted", folder, a)
		}
	}
}

// GOMEMLIMIT keeps the collector below what the kernel kills for, and leaves it something.
func TestMemoryLimitsFit(t *testing.T) {
	for _, overlay := range overlays {
		c := one[apps.Deployment](t, build(t, overlay)).Spec.Template.Spec.Containers[0]
		for _, e := range c.Env {
			if e.Name != "GOMEMLIMIT" {
				continue
			}
			mebi, err := strconv.ParseInt(strings.TrimSuffix(e.Value, "MiB"), 10, 64)
			limit := c.Resources.Limits.Memory().Value() >> 20
			if err != nil || mebi*100 > limit*90 || mebi*100 < limit*75 {
				t.Errorf("%s: GOMEMLIMIT is %s of %d MiB: %v", overlay, e.Value, limit, err)
			}
		}
	}
}

// Production survives the loss of a machine and of a zone, by itself and while it is upgraded.
func TestProductionIsSpread(t *testing.T) {
	objects := build(t, "overlays/production")
	d, h := one[apps.Deployment](t, objects), one[autoscaling.HorizontalPodAutoscaler](t, objects)
	b := one[policy.PodDisruptionBudget](t, objects)
	if h.Spec.ScaleTargetRef.Name != d.Name || *h.Spec.MinReplicas < 6 || *d.Spec.Replicas < *h.Spec.MinReplicas || h.Spec.MaxReplicas <= *h.Spec.MinReplicas {
		t.Errorf("the autoscaler has %d to %d of %s, the deployment %d", *h.Spec.MinReplicas, h.Spec.MaxReplicas, h.Spec.ScaleTargetRef.Name, *d.Spec.Replicas)
	}
	if b.Spec.MaxUnavailable.IntValue() != 1 {
		t.Errorf("%s servers may be evicted at once", b.Spec.MaxUnavailable)
	}
	if r := d.Spec.Strategy.RollingUpdate; r.MaxUnavailable.IntValue() != 0 || r.MaxSurge.IntValue() < 1 {
		t.Errorf("an upgrade takes servers away before others are there: %+v", r)
	}
	p := d.Spec.Template.Spec
	if len(p.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) != 1 || len(p.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution) != 0 {
		t.Error("two servers may share a machine")
	}
	spread := false
	for _, c := range p.TopologySpreadConstraints {
		spread = spread || c.TopologyKey == "topology.kubernetes.io/zone" && c.WhenUnsatisfiable == core.DoNotSchedule && c.MaxSkew == 1
	}
	if !spread {
		t.Error("all servers may be in one zone")
	}
}

// All traffic is denied but for what is named; the operators' port is for those who watch.
func TestNetworkIsClosed(t *testing.T) {
	for _, overlay := range overlays {
		denied, ports := false, map[int]int{}
		for _, p := range find[networking.NetworkPolicy](build(t, overlay)) {
			if len(p.Spec.PodSelector.MatchLabels) == 0 && len(p.Spec.PolicyTypes) == 2 && len(p.Spec.Ingress)+len(p.Spec.Egress) == 0 {
				denied = true
			}
			for _, rule := range p.Spec.Ingress {
				if len(rule.From) != 1 || rule.From[0].NamespaceSelector == nil || len(rule.Ports) != 1 {
					t.Errorf("%s: %s lets in %+v", overlay, p.Name, rule)
					continue
				}
				ports[rule.Ports[0].Port.IntValue()]++
			}
			for _, rule := range p.Spec.Egress {
				if len(rule.To) == 0 || len(rule.Ports) == 0 {
					t.Errorf("%s: %s lets everything out", overlay, p.Name)
				}
			}
		}
		if !denied || ports[8080] != 1 || ports[9090] != 1 || len(ports) != 2 {
			t.Errorf("%s: denied %v, let in on %v", overlay, denied, ports)
		}
	}
}

// The settings on which the protocol rests reach Redis: enough replicas for the writes that wait for one, TLS, an ACL.
func TestRedisClusterHasItsSettings(t *testing.T) {
	objects := build(t, "redis")
	var cluster struct {
		Spec struct {
			ClusterSize int
			RedisLeader struct {
				RedisConfig struct{ AdditionalRedisConfig string }
			}
			RedisFollower struct {
				Replicas    int
				RedisConfig struct{ AdditionalRedisConfig string }
			}
			PersistenceEnabled bool
			TLS                struct{ Secret struct{ SecretName string } }
			ACL                struct{ Secret struct{ SecretName string } }
		}
	}
	for _, o := range objects {
		if o.kind == "RedisCluster" {
			if err := yaml.Unmarshal(o.text, &cluster); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := cluster.Spec
	if s.ClusterSize < 3 || s.RedisFollower.Replicas < 2*s.ClusterSize || !s.PersistenceEnabled || s.TLS.Secret.SecretName == "" || s.ACL.Secret.SecretName == "" {
		t.Errorf("the cluster is %+v", s)
	}
	config := one[core.ConfigMap](t, objects)
	if s.RedisLeader.RedisConfig.AdditionalRedisConfig != config.Name || s.RedisFollower.RedisConfig.AdditionalRedisConfig != config.Name {
		t.Errorf("the nodes do not take their settings from %s", config.Name)
	}
	lines := strings.Split(config.Data["redis-additional.conf"], "\n")
	for _, want := range []string{"appendonly yes", "maxmemory-policy noeviction", "min-replicas-to-write 1", "cluster-require-full-coverage no"} {
		if !slices.Contains(lines, want) {
			t.Errorf("the settings lack %q", want)
		}
	}
}
