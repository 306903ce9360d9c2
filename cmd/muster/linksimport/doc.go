// Package linksimport reads what any publisher offers as SMART Scheduling Links into a ledger: locations become sites,
// schedules and slots become the sessions of their days.
//
// The files come from strangers. What they get wrong and what is plain all the same is tolerated, and each tolerance is
// counted under its name; what cannot be understood is refused line by line; what could do harm ends the import (see
// fetch.go). Nothing grows with the length of a file: lines are read one at a time, and slots wait in files of their own,
// spread by site, until all have been read. So the capacity of a day is written whole, or not at all: where a file cannot
// be read to its end, no day is changed. Importing again changes nothing but what the publisher changed.
package linksimport
