package validate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// composed reads compose.yaml as docker compose does; the secrets' files are made by prepare, so they are not read here.
func composed(t testing.TB) *types.Project {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join(deploy, "compose"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: folder, ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(folder, "compose.yaml")}}, Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SkipResolveEnvironment = true })
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeIsWhole(t *testing.T) {
	p := composed(t)
	have := map[string]int{}
	for name, s := range p.Services {
		have[strings.TrimRight(name, "-0123456789")]++
		if s.Build == nil && (s.Image == "" || strings.HasSuffix(s.Image, ":latest") || !strings.Contains(s.Image, ":")) {
			t.Errorf("%s runs the image %q: name its version", name, s.Image)
		}
		for port := range slices.Values(s.Ports) {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s is published on %q", name, port.HostIP)
			}
		}
	}
	for what, n := range map[string]int{"crdb": 3, "redis": 6, "muster": 2, "edge": 1, "prometheus": 1, "grafana": 1, "migrate": 1} {
		if have[what] != n {
			t.Errorf("%d services %s, want %d", have[what], what, n)
		}
	}
	for _, name := range []string{"muster-1", "muster-2"} {
		s := p.Services[name]
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.DependsOn["migrate"].Condition != types.ServiceConditionCompletedSuccessfully {
			t.Errorf("%s may too much, or begins before the schema is there", name)
		}
		if time := s.StopGracePeriod; time == nil || int64(*time)/1e9 < 2*seconds(t, s.Command, "drain-seconds") {
			t.Errorf("%s is killed before it has drained", name)
		}
	}
}

// mounts gives the files of this repository that services mount.
func mounts(p *types.Project) (paths []string) {
	for _, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				paths = append(paths, v.Source)
			}
		}
		for _, e := range s.EnvFiles {
			paths = append(paths, e.Path)
		}
		if s.Build != nil {
			paths = append(paths, filepath.Join(s.Build.Context, s.Build.Dockerfile), filepath.Join(s.Build.Context, "go.mod"))
		}
	}
	for _, s := range p.Secrets {
		paths = append(paths, s.File)
	}
	return paths
}

// What is mounted is there, or made by prepare, and others than its owner may read it there: containers' users do.
func TestComposeMountsWhatIsThere(t *testing.T) {
	folder := t.TempDir()
	prepare, err := filepath.Abs(filepath.Join(deploy, "compose", "prepare"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, folder, prepare, folder); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	first, err := os.ReadFile(filepath.Join(folder, "muster-secret"))
	if err != nil || len(first) < 64 {
		t.Fatalf("the secret is %d bytes: %v", len(first), err)
	}
	found := 0
	for _, path := range mounts(composed(t)) {
		if _, name, ok := strings.Cut(path, "/compose/secrets/"); ok {
			path = filepath.Join(folder, name)
		}
		found++
		info, err := os.Stat(path)
		if err != nil {
			t.Errorf("%v", err)
		} else if info.Mode().Perm()&0o004 == 0 {
			t.Errorf("%s: the containers' users may not read it", path)
		}
	}
	if found < 20 {
		t.Errorf("only %d mounts were found", found)
	}
	if out, err := run(t, folder, prepare, folder); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if again, err := os.ReadFile(filepath.Join(folder, "muster-secret")); err != nil || string(again) != string(first) {
		t.Errorf("prepare made another secret: %v", err)
	}
}

// The edge and Prometheus call servers by the names and ports that compose gives them.
func TestEdgeCallsTheServers(t *testing.T) {
	edge, watch := read(t, "haproxy", "haproxy.cfg"), read(t, "prometheus", "prometheus.yml")
	for name := range composed(t).Services {
		if !strings.HasPrefix(name, "muster-") {
			continue
		}
		if strings.Count(edge, "server "+name+" "+name+":8080\n") != 2 || !strings.Contains(watch, name+":9090") {
			t.Errorf("%s is not called", name)
		}
	}
	if !strings.Contains(edge, "http-request del-header X-Forwarded-For\n\toption forwardfor\n") {
		t.Error("callers may write their own address")
	}
}

func TestHAProxyTakesItsConfiguration(t *testing.T) {
	out, err := run(t, filepath.Join(deploy, "haproxy"), program(t, "haproxy"), "-c", "-f", "haproxy.cfg")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "[WARNING]") && !strings.Contains(line, "could not resolve address") {
			t.Error(line)
		}
	}
}

// What the edge logs of a request has no path in it, whose tokens open bookings, and no query, which may have a date of birth.
func TestEdgeLogsNoPaths(t *testing.T) {
	text := read(t, "haproxy", "haproxy.cfg")
	formats := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "option httplog") || strings.HasPrefix(line, "option httpslog") {
			t.Errorf("%q logs whole request lines", line)
		}
		if !strings.HasPrefix(line, "log-format") {
			continue
		}
		formats++
		for _, field := range []string{"%r", "%HU", "%HP", "%HQ", "%{+Q}r", "%[", "%hr"} {
			if strings.Contains(line+" ", field+" ") || field == "%[" && strings.Contains(line, field) {
				t.Errorf("%q logs %s", line, field)
			}
		}
	}
	if formats == 0 || !strings.Contains(text, "capture response header X-Request-Id") {
		t.Error("requests are logged by no format, or without what finds them in the servers' logs")
	}
}
