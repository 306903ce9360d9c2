package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"muster/geo"
	"muster/loadtest/attack"
	"muster/loadtest/audit"
	citizens "muster/loadtest/people"
	"muster/loadtest/profile"
	"muster/loadtest/report"
	"muster/loadtest/result"
	"muster/loadtest/threshold"
	scene "muster/loadtest/world"
)

type loadtestCommand struct {
	loadFlags
	Target      string        `placeholder:"URL" help:"The server's address; none: an embedded server is started for the run, and stopped."`
	Token       string        `placeholder:"TOKEN" help:"Bearer token of staff, so that the audit may read whole days; with --prepare, of an operator."`
	Prepare     bool          `help:"Publish services, sites and sessions at --target for this load. Only where no real bookings are."`
	Threshold   []string      `sep:"none" placeholder:"RULE" help:"What the run must keep to, such as 'p99(confirm)<300ms' or 'lost==0'; may be repeated."`
	Thresholds  string        `placeholder:"FILE" help:"File of thresholds, one a line."`
	Report      string        `placeholder:"FILE" help:"Write a page of HTML."`
	JSON        string        `name:"json" placeholder:"FILE" help:"Write the result as JSON, to compare and to merge."`
	Engine      string        `default:"vegeta" enum:"vegeta,lean" help:"vegeta, or lean: fasthttp's client, for the highest rates (${default})."`
	Generator   string        `default:"1/1" placeholder:"K/N" help:"This is the Kth of N generators, which share --seed, --scale and --start-at (${default})."`
	StartAt     time.Time     `placeholder:"INSTANT" help:"When to begin (RFC 3339), for several generators; none: at once."`
	MaxWorkers  int           `default:"4096" help:"Requests in flight at most (${default})."`
	Timeout     time.Duration `default:"10s" help:"How long an answer may take (${default})."`
	MaxLag      time.Duration `default:"100ms" help:"The run is no valid measurement when one request in a hundred was sent later than this after its time (${default})."`
	Hook        string        `placeholder:"COMMAND" help:"Shell command to run half way, such as one that kills a node."`
	HoldSeconds int           `default:"300" help:"How long holds of the embedded server last (${default})."`
	Ledger      string        `placeholder:"URL" help:"postgresql:// URL of the ledger, for the audit to read past the server."`
	LedgerData  string        `type:"path" placeholder:"DIR" help:"The same for an embedded ledger's folder."`
	NoAudit     bool          `help:"Do not look up what was booked. Such a run proves nothing but speed."`
	Quiet       bool          `help:"No progress."`

	rules []threshold.Threshold
	at    [2]int // generator
}

// Run sends the load, audits, and judges. Nothing of it is a usage error: exit code 2 says that a threshold was breached.
func (c *loadtestCommand) Run(p *program) error {
	fitted, err := c.check()
	if err != nil {
		return err
	}
	crowd, think, err := c.crowd(&fitted)
	if err != nil {
		return err
	}
	at, err := c.place(p)
	if err != nil {
		return err
	}
	defer at.stop()
	found, err := c.find(p, at, &fitted)
	if err != nil {
		return err
	}
	config := attack.Config{Target: at.base, Engine: c.Engine, Profile: fitted, Crowd: crowd, Services: found.Services, From: found.From, To: found.To,
		Seed: c.Seed, Generator: c.at[0], Generators: c.at[1], MaxWorkers: c.MaxWorkers, Timeout: c.Timeout, MaxLag: c.MaxLag, Think: think, StartAt: c.StartAt}
	if !c.Quiet {
		config.Progress = func(now time.Duration, live result.Live) { report.Progress(p.stderr, now, fitted.Curve.Length(), live) }
	}
	if c.Hook != "" {
		config.Hook = c.hook
	}
	r, evidence, err := attack.Run(p.ctx, config)
	if err != nil {
		return err
	}
	c.describe(r, found, at)
	if err := c.audit(p, r, evidence, at); err != nil {
		return fmt.Errorf("the audit could not look: %w", err)
	}
	return p.conclude(r, c.rules, c.Report, c.JSON)
}

// check finds what is wrong before anything is started.
func (c *loadtestCommand) check() (profile.Profile, error) {
	fitted, err := c.profile()
	if err != nil {
		return fitted, err
	}
	if c.rules, err = readThresholds(c.Threshold, c.Thresholds); err != nil {
		return fitted, err
	}
	if n, err := fmt.Sscanf(c.Generator, "%d/%d", &c.at[0], &c.at[1]); n != 2 || err != nil || c.at[0] < 1 || c.at[0] > c.at[1] {
		return fitted, fmt.Errorf("--generator %q is none such as 1/3", c.Generator)
	}
	switch {
	case c.at[1] > 1 && (c.Seed == 0 || c.StartAt.IsZero() || c.Target == ""):
		return fitted, errors.New("several generators need the same --seed, --start-at and --target")
	case c.at[1] > 1 && c.Prepare:
		return fitted, errors.New("one generator must not publish while others begin: publish before, and leave --prepare out")
	case c.Prepare && c.Target == "":
		return fitted, errors.New("--prepare is for a --target; an embedded server is prepared always")
	case fitted.Hook && c.Hook == "":
		return fitted, fmt.Errorf("the profile %s needs a --hook: the command that makes something fail", fitted.Name)
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1 << 32)
	}
	return fitted, nil
}

// crowd makes the people of a load, and tells how long they think.
func (f *loadFlags) crowd(p *profile.Profile) (*citizens.Crowd, time.Duration, error) {
	postcodes, err := geo.EmbeddedPostcodes()
	if err != nil {
		return nil, 0, err
	}
	think := f.think(p.Curve.Length())
	crowd, err := citizens.NewCrowd(citizens.Options{Seed: f.Seed, Postcodes: postcodes, Youngest: p.Youngest, Oldest: p.Oldest, Mix: p.Mix, Think: think, Today: time.Now()})
	return crowd, think, err
}

// loadtestPlace is where the load goes.
type loadtestPlace struct {
	base  *url.URL
	token string
	child *loadtestServer // nil: somebody else's server
}

func (at *loadtestPlace) stop() {
	if at.child != nil {
		at.child.stop()
	}
}

func parseTarget(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" {
		return nil, fmt.Errorf("--target %q is no address such as http://host:8080", text)
	}
	base.Path = ""
	return base, nil
}

// place finds the server, or starts one.
func (c *loadtestCommand) place(p *program) (*loadtestPlace, error) {
	if c.Target != "" {
		base, err := parseTarget(c.Target)
		return &loadtestPlace{base: base, token: c.Token}, err
	}
	child, err := startLoadtestServer(p, c.HoldSeconds)
	if err != nil {
		return nil, err
	}
	return &loadtestPlace{base: &url.URL{Scheme: "http", Host: child.address}, token: "dev", child: child}, nil
}

func loadtestClient() *http.Client {
	return &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
}

func (p *program) learn(base *url.URL) (*scene.World, error) {
	return scene.Learn(p.ctx, loadtestClient(), base.String())
}

// find publishes a world, or learns of the one that is there.
func (c *loadtestCommand) find(p *program, at *loadtestPlace, fitted *profile.Profile) (*scene.World, error) {
	if at.child == nil && !c.Prepare {
		return p.learn(at.base)
	}
	publisher := scene.Publisher{Base: at.base.String(), Token: at.token, Client: loadtestClient()}
	// Families want several places: the more so, the more of them there are. What people want is about their number.
	places := max(1, int(math.Round(fitted.Curve.People()*fitted.Places)))
	w, err := publisher.Prepare(p.ctx, scene.Plan{Places: places, Sites: fitted.Sites, Seed: c.Seed, First: time.Now().AddDate(0, 0, 2)})
	if err == nil && !c.Quiet {
		fmt.Fprintf(p.stderr, "published %d places at %d sites\n", w.Places, len(w.Sites))
	}
	return w, err
}

// hook runs the operator's command.
func (c *loadtestCommand) hook(ctx context.Context) result.Hook {
	h := result.Hook{Command: c.Hook}
	out, err := exec.CommandContext(ctx, "sh", "-c", c.Hook).CombinedOutput()
	h.Output = string(out[:min(len(out), 4000)])
	if err != nil {
		h.Error = err.Error()
	}
	return h
}

// describe adds to a result what the run knows of itself and of its world.
func (c *loadtestCommand) describe(r *result.Result, found *scene.World, at *loadtestPlace) {
	r.Run.Version, r.Run.Commit, r.Run.Machine, r.Run.Command = cmp.Or(version, "devel"), builtFrom(), machine(), commandLine()
	r.Run.Embedded = at.child != nil
	r.Places = found.Places
	places := make(map[string]int)
	for i := range r.Map.Supply {
		places[r.Map.Supply[i].Site] = i
	}
	for _, s := range found.Sites {
		if i, ok := places[s.Site]; ok {
			r.Map.Supply[i].Places = s.Places
		} else {
			r.Map.Supply = append(r.Map.Supply, s)
		}
	}
}

// commandLine is how this program was called, without what must not be told.
func commandLine() string {
	words := []string{"muster"}
	hide := false
	for _, word := range os.Args[1:] {
		switch name, _, given := strings.Cut(word, "="); {
		case hide:
			word, hide = "…", false
		case slices.Contains([]string{"--token", "--ledger", "--redis", "--postgres"}, name):
			if hide = !given; given {
				word = name + "=…"
			}
		case strings.ContainsAny(word, " <>()'$&|;"):
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func builtFrom() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// machine describes where the generator runs.
func machine() string {
	processor := ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, found := strings.Cut(string(text), "model name"); found {
			name, _, _ := strings.Cut(rest, "\n")
			processor = ", " + strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return fmt.Sprintf("%s/%s, %d cores%s, %s", runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), processor, runtime.Version())
}

// landPoints are postcodes from all over the country, from which maps draw the ground.
func landPoints() ([][2]float64, error) {
	postcodes, err := geo.EmbeddedPostcodes()
	if err != nil {
		return nil, err
	}
	var land [][2]float64
	taken := make(map[[2]int]bool)
	for i := 0; i < postcodes.Len(); i += 7 {
		at := postcodes.At(i).Point
		cell := [2]int{int(math.Floor(at.Lat * 20)), int(math.Floor(at.Lon * 12))} // five and a half kilometres
		if !taken[cell] {
			taken[cell] = true
			land = append(land, [2]float64{(float64(cell[0]) + 0.5) / 20, (float64(cell[1]) + 0.5) / 12})
		}
	}
	return land, nil
}

// audit looks up what was booked: through the API, and in the ledger where it may. The embedded server is stopped in between.
func (c *loadtestCommand) audit(p *program, r *result.Result, evidence *audit.Evidence, at *loadtestPlace) error {
	if c.NoAudit {
		return nil
	}
	ctx := context.WithoutCancel(p.ctx) // a run that was interrupted is audited too
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	api := &audit.API{Base: at.base.String(), Token: at.token, Client: loadtestClient()}
	o := audit.Options{API: api, Exclusive: at.child != nil && c.at[1] == 1, Most: 20_000, Seed: c.Seed}
	if at.token != "" {
		o.Books = api
	}
	found, err := audit.Run(ctx, evidence, o)
	r.Audit = found
	if err != nil {
		return err
	}
	where := ledgerFlags{Data: c.LedgerData, Ledger: c.Ledger}
	name := where.target()
	if at.child != nil {
		at.child.end()
		where, name = ledgerFlags{Data: at.child.data}, "of the embedded server"
	}
	if where.Data == "" && where.Ledger == "" {
		return nil
	}
	return p.auditLedger(ctx, r, evidence, where, name)
}
