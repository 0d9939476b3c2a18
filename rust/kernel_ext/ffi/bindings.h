/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What kernel_ext needs of the kernel's headers and the kernel crate's own
 * bindings lack. Kbuild feeds it to bindgen with a list of what to take;
 * everything that the kernel crate binds already is reused from there.
 */
#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/blk-mq-dma.h>
#include <linux/blkdev.h>
#include <linux/pci.h>

/* Cast macros are invisible to bindgen: give them a type and a name. */
static const blk_status_t EXT_BLK_STS_OK = BLK_STS_OK;
static const blk_status_t EXT_BLK_STS_NOTSUPP = BLK_STS_NOTSUPP;
static const blk_status_t EXT_BLK_STS_TIMEOUT = BLK_STS_TIMEOUT;
static const blk_status_t EXT_BLK_STS_NOSPC = BLK_STS_NOSPC;
static const blk_status_t EXT_BLK_STS_TRANSPORT = BLK_STS_TRANSPORT;
static const blk_status_t EXT_BLK_STS_TARGET = BLK_STS_TARGET;
static const blk_status_t EXT_BLK_STS_RESV_CONFLICT = BLK_STS_RESV_CONFLICT;
static const blk_status_t EXT_BLK_STS_MEDIUM = BLK_STS_MEDIUM;
static const blk_status_t EXT_BLK_STS_PROTECTION = BLK_STS_PROTECTION;
static const blk_status_t EXT_BLK_STS_RESOURCE = BLK_STS_RESOURCE;
static const blk_status_t EXT_BLK_STS_IOERR = BLK_STS_IOERR;
static const blk_status_t EXT_BLK_STS_DEV_RESOURCE = BLK_STS_DEV_RESOURCE;
static const blk_status_t EXT_BLK_STS_OFFLINE = BLK_STS_OFFLINE;
static const blk_status_t EXT_BLK_STS_ZONE_ACTIVE_RESOURCE = BLK_STS_ZONE_ACTIVE_RESOURCE;
static const blk_status_t EXT_BLK_STS_ZONE_OPEN_RESOURCE = BLK_STS_ZONE_OPEN_RESOURCE;
static const blk_status_t EXT_BLK_STS_INVAL = BLK_STS_INVAL;
static const blk_features_t EXT_BLK_FEAT_WRITE_CACHE = BLK_FEAT_WRITE_CACHE;
static const blk_features_t EXT_BLK_FEAT_FUA = BLK_FEAT_FUA;
static const blk_features_t EXT_BLK_FEAT_ROTATIONAL = BLK_FEAT_ROTATIONAL;
static const blk_features_t EXT_BLK_FEAT_ATOMIC_WRITES = BLK_FEAT_ATOMIC_WRITES;
static const blk_features_t EXT_BLK_FEAT_ZONED = BLK_FEAT_ZONED;
static const blk_opf_t EXT_REQ_FUA = REQ_FUA;
static const blk_opf_t EXT_REQ_PREFLUSH = REQ_PREFLUSH;
static const blk_opf_t EXT_REQ_NOUNMAP = REQ_NOUNMAP;
static const blk_opf_t EXT_REQ_ATOMIC = REQ_ATOMIC;
static const blk_opf_t EXT_REQ_RAHEAD = REQ_RAHEAD;
static const blk_opf_t EXT_REQ_INTEGRITY = REQ_INTEGRITY;
static const blk_opf_t EXT_REQ_FAILFAST_DEV = REQ_FAILFAST_DEV;
static const blk_opf_t EXT_REQ_FAILFAST_MASK = REQ_FAILFAST_MASK;
static const req_flags_t EXT_RQF_DONTPREP = RQF_DONTPREP;
static const unsigned char EXT_BLK_INTEGRITY_DEVICE_CAPABLE = BLK_INTEGRITY_DEVICE_CAPABLE;
static const unsigned char EXT_BLK_INTEGRITY_REF_TAG = BLK_INTEGRITY_REF_TAG;
static const unsigned char EXT_BLK_SPLIT_INTERVAL_CAPABLE = BLK_SPLIT_INTERVAL_CAPABLE;
static const unsigned short EXT_BIP_CHECK_GUARD = BIP_CHECK_GUARD;
static const unsigned short EXT_BIP_CHECK_REFTAG = BIP_CHECK_REFTAG;
static const unsigned short EXT_BIP_CHECK_APPTAG = BIP_CHECK_APPTAG;

bool ext_add_to_batch(struct request *rq, struct io_comp_batch *batch,
		      void (*end)(struct io_comp_batch *));
static const gfp_t EXT_GFP_NOIO = GFP_NOIO;

void ext_queue_get(struct request_queue *q);
void ext_queue_put(struct request_queue *q);
bool ext_queue_dying(struct request_queue *q);
void ext_data_shape(struct request *rq, u32 *first_offset, u64 *gaps);
void ext_full_barrier(void);
bool ext_integrity_checks(struct request *rq, u16 *flags, u16 *app_tag);
bool ext_integrity_map(struct request *rq, struct device *dev, struct dma_iova_state *state,
		       struct blk_dma_iter *iter);
void ext_requeue(struct request *rq, unsigned long delay_ms);
int ext_spread_node(unsigned int index, unsigned int count);
bool ext_memory_bar(struct pci_dev *pdev, int bar, u64 *len, u64 *bus_address,
		    bool *prefetchable);
int ext_vector_node(struct pci_dev *pdev, unsigned int index);
