package api

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"muster/api/tokens"
)

// StaffIssuer is the OpenID provider at which an organisation's staff log in. Its keys are found through its discovery
// document. See docs/decisions/0040.
type StaffIssuer struct {
	Issuer   string // whose tokens are taken; "": nobody's
	Audience string // the client id of the front end that staff log in to
	// RolesClaim lists a person's roles (default "roles"); Roles says which scopes each role has.
	RolesClaim string
	Roles      map[string][]string
	// OrganisationClaim says for which publisher a person works; default "org".
	OrganisationClaim string
}

// staffPrefix marks the names of people, so that no client of the other issuer has the same.
const staffPrefix = "staff:"

// issuers lists whose tokens are taken.
func (o Options) issuers() (all []tokens.Issuer) {
	if o.Issuer != "" {
		all = append(all, tokens.Issuer{
			Name: "clients", Issuer: o.Issuer, Audience: o.Audience, KeysFile: o.JWKSFile, KeysURL: o.JWKSURL,
			OrganisationClaim: o.OrganisationClaim, Reserved: staffPrefix,
		})
	}
	if s := o.Staff; s.Issuer != "" {
		all = append(all, tokens.Issuer{
			Name: "staff", Issuer: s.Issuer, Audience: s.Audience, Discover: true, RolesClaim: s.RolesClaim, Roles: s.Roles,
			OrganisationClaim: s.OrganisationClaim, SubjectPrefix: staffPrefix,
		})
	}
	return all
}

// withTrustDefaults fills in the names of claims.
func (o Options) withTrustDefaults() Options {
	for name, value := range map[*string]string{&o.OrganisationClaim: "sub", &o.Staff.OrganisationClaim: "org", &o.Staff.RolesClaim: "roles"} {
		if *name == "" {
			*name = value
		}
	}
	return o
}

// trustFaults finds what is wrong with whom the options trust.
func (o Options) trustFaults() (faults []error) {
	keys := 0
	for _, s := range []string{o.JWKSFile, o.JWKSURL} {
		if s != "" {
			keys++
		}
	}
	some := o.Issuer != "" || o.Audience != "" || keys > 0
	if some && (o.Issuer == "" || o.Audience == "" || keys != 1) {
		faults = append(faults, errors.New("issuer, audience and keys (a file or a URL) belong together: give all three or none"))
	} else {
		for _, i := range o.issuers() {
			if err := i.Validate(o.Dev); err != nil {
				faults = append(faults, err)
			}
		}
	}
	s := o.Staff
	if s.Issuer == "" && (s.Audience != "" || len(s.Roles) > 0) {
		faults = append(faults, errors.New("the staff's audience and roles need their issuer"))
	}
	if s.Issuer != "" && s.Issuer == o.Issuer && s.Audience == o.Audience {
		faults = append(faults, errors.New("the staff's tokens cannot be told from clients': give another issuer or audience"))
	}
	for _, role := range slices.Sorted(maps.Keys(s.Roles)) {
		for _, scope := range s.Roles[role] {
			if !slices.Contains(knownScopes, scope) {
				faults = append(faults, fmt.Errorf("role %q has scope %q, which there is not: %v", role, scope, knownScopes))
			}
		}
	}
	return faults
}
