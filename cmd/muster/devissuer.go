package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"muster/cmd/muster/devissuer"
)

type devIssuerCommand struct {
	Dev      bool     `help:"Needed, so that nobody starts this by mistake: whoever reaches it can change the keys."`
	Listen   string   `default:"127.0.0.1:8085" placeholder:"ADDRESS" help:"Where tokens are issued (${default}); an address of this machine only."`
	Audience string   `default:"muster" help:"The aud of the tokens (${default})."`
	Minutes  int      `default:"10" help:"How long a token lasts (${default})."`
	Client   []string `sep:"none" placeholder:"ID:SECRET:ORGANISATION:SCOPES" help:"A client, with the scopes it may have, separated by spaces. May be given several times."`
	Staff    []string `sep:"none" placeholder:"ID:SECRET:ORGANISATION:ROLES" help:"A person, with roles in place of scopes. May be given several times."`
}

// Run issues tokens until the program is asked to finish.
func (c *devIssuerCommand) Run(p *program) error {
	if !c.Dev {
		return usage("dev-issuer needs --dev: anybody on this machine can change its keys")
	}
	if err := devissuer.Local(c.Listen); err != nil {
		return usageError{err}
	}
	clients, err := c.clients()
	if err != nil {
		return usageError{err}
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer listener.Close()
	address := "http://" + listener.Addr().String()
	issuer, err := devissuer.New(address, c.Audience, time.Duration(c.Minutes)*time.Minute, clients)
	if err != nil {
		return usageError{err}
	}
	server := &http.Server{Handler: issuer.Handler(), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Fprintf(p.stdout, "DEVELOPMENT ISSUER: never believe its tokens in production.\nTokens at %s/token; start the server with\n"+
		"  muster serve --dev --issuer %s --jwks-url %s/jwks.json --audience %s --organisation-claim org\n", address, address, address, c.Audience)
	if p.serving != nil {
		p.serving(listener.Addr().String(), "")
	}
	select {
	case err = <-failed:
		return fmt.Errorf("the listener failed: %w", err)
	case <-p.ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(stopping)
}

func (c *devIssuerCommand) clients() (all []devissuer.Client, err error) {
	for n, texts := range [][]string{c.Client, c.Staff} {
		for _, text := range texts {
			client, err := devissuer.ParseClient(text, n == 1)
			if err != nil {
				return nil, err
			}
			all = append(all, client)
		}
	}
	return all, nil
}
