/* SPDX-License-Identifier: ISC */
/* Where the trail lies; shared by its writer and its readers. */
#ifndef RELAYD_AUDIT_TRAIL_PRIVATE_H
#define RELAYD_AUDIT_TRAIL_PRIVATE_H

#define TRAIL_DIRECTORY "audit"	      /* below the state directory */
#define TRAIL_FILE	"audit.jsonl" /* what is appended to; rotated ones have more behind it */

#endif
