package installation

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"muster/loadtest/processes"
)

// Link is a TCP proxy on the way to a server, where messages can be made late, few, or none. Its address stays the same for
// its whole life. Safe for concurrent use; a verb that fails marks the test as failed and lets it go on.
type Link struct {
	tb     testing.TB
	api    *toxiproxy.ApiServer
	name   string
	listen string

	mu       sync.Mutex
	proxy    *toxiproxy.Proxy
	upstream string
	severed  bool // toxics are in force that lose bytes: connections must not outlive them
	toxics   int
}

// toxicPatience bounds a change of a proxy: one that meets a connection which ends in the same moment may wait for ever.
const toxicPatience = 2 * time.Second

func newLink(tb testing.TB, name, upstream string) *Link {
	tb.Helper()
	l := &Link{
		tb: tb, name: name, upstream: upstream,
		api: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
	}
	var err error
	for range 10 {
		var port int
		if port, err = processes.FreePort(); err != nil {
			break
		}
		l.listen = processes.Loopback(port)
		if l.proxy, err = l.begin(nil); err == nil {
			tb.Cleanup(l.close)
			return l
		}
	}
	tb.Fatalf("proxy %s: %v", name, err)
	return nil
}

// Addr is the host:port to call in place of the server's own.
func (l *Link) Addr() string { return l.listen }

// begin starts a proxy with toxics from the first connection on.
func (l *Link) begin(toxics []string) (*toxiproxy.Proxy, error) {
	proxy := toxiproxy.NewProxy(l.api, l.name, l.listen, l.upstream)
	for _, toxic := range toxics {
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			return nil, err
		}
	}
	return proxy, proxy.Start()
}

func (l *Link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Stop()
}

// renew puts a new proxy with these toxics in the place of the present one, whose connections end.
func (l *Link) renew(toxics ...string) {
	l.tb.Helper()
	l.proxy.Stop()
	err := await(patience, func() (err error) {
		l.proxy, err = l.begin(toxics)
		return err
	})
	if err != nil {
		l.tb.Errorf("proxy %s at %s: %v", l.name, l.listen, err)
	}
	l.toxics, l.severed = len(toxics), false
}

// add puts toxics in force on open connections and on new ones.
func (l *Link) add(lossy bool, toxics ...string) {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.toxics > 0 {
		l.renew() // one fault at a time
	}
	proxy := l.proxy
	done := make(chan error, 1)
	go func() {
		for _, toxic := range toxics {
			if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	timer := time.NewTimer(toxicPatience)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			l.tb.Errorf("proxy %s: %v", l.name, err)
		}
	case <-timer.C:
		l.renew(toxics...)
	}
	l.toxics, l.severed = len(toxics), lossy
}

func toxic(kind, stream, attributes string) string {
	return fmt.Sprintf(`{"name":"%s-%s","type":%q,"stream":%q,"attributes":{%s}}`, kind, stream, kind, stream, attributes)
}

// Cut loses every byte both ways: connections stay open and nothing is heard, as in a partition.
func (l *Link) Cut() {
	l.tb.Helper()
	l.add(true, toxic("timeout", "upstream", `"timeout":0`), toxic("timeout", "downstream", `"timeout":0`))
}

// CutReplies lets requests arrive and loses every reply: whoever asks cannot know what became of it.
func (l *Link) CutReplies() {
	l.tb.Helper()
	l.add(true, toxic("timeout", "downstream", `"timeout":0`))
}

// Reset ends every connection at its next byte from the server, the old ones and each new one, until Heal.
func (l *Link) Reset() {
	l.tb.Helper()
	l.add(true, toxic("reset_peer", "downstream", `"timeout":0`))
}

// Break ends all open connections, once.
func (l *Link) Break() {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renew()
}

// Latency makes each message to the server and back late by a mean ± jitter each way.
func (l *Link) Latency(mean, jitter time.Duration) {
	l.tb.Helper()
	late := fmt.Sprintf(`"latency":%d,"jitter":%d`, mean.Milliseconds(), jitter.Milliseconds())
	l.add(false, toxic("latency", "upstream", late), toxic("latency", "downstream", late))
}

// Slow lets so many kilobytes a second through, each way.
func (l *Link) Slow(kilobytes int) {
	l.tb.Helper()
	rate := fmt.Sprintf(`"rate":%d`, kilobytes)
	l.add(false, toxic("bandwidth", "upstream", rate), toxic("bandwidth", "downstream", rate))
}

// Heal ends every fault. Connections from which bytes are missing end too; others stay.
func (l *Link) Heal() {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.toxics == 0 {
		return
	}
	if l.severed {
		l.renew()
		return
	}
	proxy := l.proxy
	done := make(chan struct{})
	go func() {
		defer close(done)
		proxy.Toxics.ResetToxics(context.Background())
	}()
	timer := time.NewTimer(toxicPatience)
	defer timer.Stop()
	select {
	case <-done:
		l.toxics = 0
	case <-timer.C:
		l.renew()
	}
}

// Point leads to another server from now on. Open connections end.
func (l *Link) Point(upstream string) {
	l.tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.upstream = upstream
	l.renew()
}

// Links are several links, to be broken together.
type Links []*Link

// Each calls a verb on each link.
func (ls Links) Each(verb func(*Link)) {
	for _, l := range ls {
		verb(l)
	}
}
