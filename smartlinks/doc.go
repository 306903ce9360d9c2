// Package smartlinks publishes what the public may book as SMART Scheduling Links: a manifest, and the files of newline-
// delimited FHIR resources (Location, Schedule, Slot) that it names. Slots carry the extensions of the text of 2021 and
// those of HL7's edition beside each other, so that readers of either find them.
//
// # How it stays cheap
//
// Sites are spread over parts by a hash of their id; a part has one file of each kind. Nothing is done in the background.
// A request looks, at most every few seconds, at a hash of what each site has, which the directory works out once for each
// change; parts whose hashes are all the same keep their ETag, and who asks for them with If-None-Match is told so without
// any of them being made. The hashes follow from ledger and inventory alone, so servers that know the same have the same ETags.
// A file shows what is there when it is read, which may be seconds newer than its ETag. Should the sites return to what they had,
// a server gives that another ETag (Publisher.readAhead), and every server does with the next tick.
//
// The lines of a site are made once for each of its changes, and kept compressed. A piece of DEFLATE that was flushed can
// be followed by any other, so a file is the pieces of its sites one after the other, between gzip's header and trailer,
// whose checksum follows from those of the pieces. After one change, one site is worked out, and not its part. Readers who
// want no gzip get the pieces unpacked.
//
// Pieces are kept up to a bound (Options.KeepBytes); what does not fit is made again when it is next wanted. One site is
// worked out at a time, so that publishing never takes more than one processor from those who book.
//
// # Time
//
// What may be booked also follows from the time. Time counts in ticks: a file shows the slots that may be booked until the
// end of its tick, so a slot is gone from it up to one tick before it really is. Within a tick a file follows from sites,
// services and claims alone.
package smartlinks
