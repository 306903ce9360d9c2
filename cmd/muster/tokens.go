package main

import (
	"strings"

	"muster/api"
)

// tokenFlags say whose access tokens are taken.
type tokenFlags struct {
	JWKSFile          string `name:"jwks-file" placeholder:"FILE" help:"Public keys (JWKS) of whoever issues clients' access tokens, with --issuer and --audience; read again when the file changes."`
	JWKSURL           string `name:"jwks-url" placeholder:"URL" help:"The same at an https address, in place of a file; read again every few minutes and when a token names a new key."`
	Issuer            string `help:"The iss that clients' access tokens must carry."`
	Audience          string `help:"The aud that clients' access tokens must carry."`
	OrganisationClaim string `default:"sub" placeholder:"CLAIM" help:"The claim that names the publisher a client works for (${default})."`

	OIDCIssuer            string            `name:"oidc-issuer" placeholder:"URL" help:"OpenID provider of staff, whose keys are found by discovery; with --oidc-audience."`
	OIDCAudience          string            `name:"oidc-audience" placeholder:"CLIENT-ID" help:"The aud that tokens of staff must carry: the client id of what they log in to."`
	OIDCRole              map[string]string `name:"oidc-role" placeholder:"ROLE=SCOPES" help:"Scopes of a role of staff, separated by spaces: clerk=\"bookings:read bookings:write\". Several: separated by semicolons, or the flag again."`
	OIDCRolesClaim        string            `name:"oidc-roles-claim" default:"roles" placeholder:"CLAIM" help:"The claim that lists the roles of staff (${default})."`
	OIDCOrganisationClaim string            `name:"oidc-organisation-claim" default:"org" placeholder:"CLAIM" help:"The claim that names the publisher that staff work for (${default})."`
}

// trust adds whose tokens are taken to the options of the HTTP side.
func (f tokenFlags) trust(o api.Options) api.Options {
	o.Issuer, o.Audience, o.JWKSFile, o.JWKSURL, o.OrganisationClaim = f.Issuer, f.Audience, f.JWKSFile, f.JWKSURL, f.OrganisationClaim
	o.Staff = api.StaffIssuer{
		Issuer: f.OIDCIssuer, Audience: f.OIDCAudience, RolesClaim: f.OIDCRolesClaim, OrganisationClaim: f.OIDCOrganisationClaim,
		Roles: make(map[string][]string, len(f.OIDCRole)),
	}
	for role, scopes := range f.OIDCRole {
		o.Staff.Roles[role] = strings.Fields(scopes)
	}
	return o
}
