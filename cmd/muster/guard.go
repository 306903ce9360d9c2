package main

import (
	"log/slog"
	"time"

	"muster/api"
)

// guardFlags say what browsers and single addresses may, and what a crash may leave behind.
type guardFlags struct {
	CORSOrigin   []string `name:"cors-origin" placeholder:"ORIGIN" help:"Origin, such as https://booking.example.org, whose pages may call this server from a browser; several: separated by commas. None: no page of another origin may."`
	HSTSSeconds  int      `name:"hsts-seconds" default:"0" help:"How long browsers are told to come by https only (Strict-Transport-Security); 0: not at all. Only where everybody reaches this server by https."`
	ConnsPerAddr int      `name:"connections-per-address" default:"0" help:"How many connections one address (IPv6: one /56) may have open at once; 0: any. Not behind a proxy, which is one address."`
	CoreDumps    bool     `help:"Let the system write this program's memory to a file when it crashes. That memory holds people's data."`
}

// guard adds them to the options of the HTTP side.
func (f guardFlags) guard(o api.Options) api.Options {
	o.Origins, o.StrictTransport, o.MaxPerAddress = f.CORSOrigin, time.Duration(f.HSTSSeconds)*time.Second, f.ConnsPerAddr
	return o
}

// boundDumps keeps people's data out of core files, unless the operator wants them. Where the system does not let it, the log
// says so: a server without this is still better than none.
func (f guardFlags) boundDumps(log *slog.Logger) {
	if f.CoreDumps {
		log.Warn("a crash may write this program's memory, with people's data, to a core file")
		return
	}
	if err := refuseDumps(); err != nil {
		log.Warn("core dumps could not be switched off: a crash may write people's data to a file", "error", err)
	}
}
