// Package volume is the release root on disk, and its only writer beside the node's own release_handler.
//
//	ROOT/                       the node's ROOTDIR
//	  releases/<vsn>/           <name>.rel start.boot sys.config vm.args relup … MANIFEST   published last
//	                            of mix also sys.config.pristine COOKIE bin/, and derived as the next two are: sys.config
//	  bin/<name>                derived: the commands of a release of mix
//	  releases/RELEASES         derived from state.json before every boot, as is
//	  releases/start_erl.data   this: OTP writes both in place, and a crash there leaves either empty
//	  lib/<app>-<vsn>/          from a package, never overwritten with other content; or a link into the image
//	  erts-<vsn>/               likewise
//	  log/                      crash dumps of the node
//	  .agent/  (0700)
//	    lock                    flock of the one agent that may write
//	    state.json              the only authority: what boots, what is under way, what is there
//	    history.jsonl           every attempt and decision, one JSON value a line; history.old.jsonl before it
//	    reports/<id>.json       of the last upgrades that touched the node
//	    packages/<sha256>.tar.gz
//	    stage/<id>/             a package while it is unpacked and looked at; nothing in it counts yet
//	    trash/<id>/             what is renamed away before it is deleted
//	    ballast                 room for the records on a full disk
//
// Whatever is in releases, lib or erts-* and belongs to no release of state.json is debris of a crash, and
// is collected. So publishing is "rename into place, then record", and removing is "forget, then collect".
package volume
