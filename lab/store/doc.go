// Package store keeps what runs leave behind: their logs and their artifacts.
//
// A Store is a folder of run logs, one append-only file a run. A log can be read while it grows,
// loses at most what was not yet flushed when its process is killed, and says so; of one that is
// damaged, what is before the damage is read, and the damage is reported with its offset. Events
// are handed on as they are read, so that a long log takes no memory; for the list of runs only the
// ends of long logs are read. A Follower reads a log as another process writes it, and says when
// that process is silent or gone. Artifacts is a content-addressed folder of finished work: what is
// under a key is complete and verified, or absent. Checksums are read at the first use in a
// process, so no verb is needed to verify them. What a process uses, others do not remove. What a
// long build has done when it ends early stays apart, for the next one to go on from.
//
// Both are plain files that can be copied and deleted. The package leaves out what the events mean
// (lab.Board) and when an artifact is worth making (lab/run).
package store
