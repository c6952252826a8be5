#include "mvcc/read_view.h"

#include "mvcc/batch.h"
#include "mvcc/committed_file.h"
#include "mvcc/fetcher.h"

namespace quorate::mvcc {
namespace {

// False when the visitor has had enough.
bool ScanBatch(const Batch& batch, size_t limit, Revision from, Revision to,
               bool (*visitor)(void*, Revision, bool, std::string_view), void* context) {
  for (size_t i = batch.LowerBound(from, limit); i < limit; ++i) {
    const BatchRecord& record = batch.RecordAt(i);
    if (record.revision >= to) return true;
    if (!visitor(context, record.revision, record.tombstone, record.value)) return false;
  }
  return true;
}

}  // namespace

std::optional<std::string_view> ReadView::FindInBatches(Revision revision) const {
  if (auto found = parts_->open->Find(revision, open_records_)) return found;
  if (parts_->in_flight == nullptr) return std::nullopt;
  return parts_->in_flight->Find(revision, parts_->in_flight->records());
}

StatusOr<std::optional<std::string_view>> ReadView::GetKeyValue(Revision revision) const {
  if (auto found = FindInBatches(revision)) return found;
  return parts_->file->Get(Bucket::kKey, EncodeRevision(revision, false).view());
}

bool ReadView::Resident(Revision revision) const {
  return FindInBatches(revision) ||
         parts_->file->Resident(Bucket::kKey, EncodeRevision(revision, false).view());
}

ReadView::Fetcher::Fetcher(const ReadView* view)
    : view_(view), cursor_(view->parts_->file->NewCursor(Bucket::kKey)) {}

StatusOr<std::optional<std::string_view>> ReadView::Fetcher::Get(Revision revision) {
  if (auto found = view_->FindInBatches(revision)) return found;
  const RevisionKey wanted = EncodeRevision(revision, false);
  if (cursor_.Valid()) QUORATE_RETURN_IF_ERROR(cursor_.Next());
  if (!cursor_.Valid() || cursor_.key() != wanted.view())
    QUORATE_RETURN_IF_ERROR(cursor_.Seek(wanted.view()));
  if (!cursor_.Valid() || cursor_.key() != wanted.view()) return std::optional<std::string_view>();
  return std::optional<std::string_view>(cursor_.value());
}

Status ReadView::ScanRecords(Revision from, Revision to, Visitor visitor, void* context) const {
  bolt::Cursor cursor = parts_->file->NewCursor(Bucket::kKey);
  QUORATE_RETURN_IF_ERROR(cursor.Seek(EncodeRevision(from, false).view()));
  while (cursor.Valid()) {
    Revision revision;
    bool tombstone;
    if (cursor.is_bucket() || !DecodeRevision(cursor.key(), &revision, &tombstone)) {
      return DataLoss("bucket 'key' of the db file has a key that is no revision (" +
                      std::to_string(cursor.key().size()) +
                      " bytes); restore the member from a snapshot or from another member");
    }
    if (revision >= to) break;
    if (!visitor(context, revision, tombstone, cursor.value())) return {};
    QUORATE_RETURN_IF_ERROR(cursor.Next());
  }
  if (parts_->in_flight != nullptr &&
      !ScanBatch(*parts_->in_flight, parts_->in_flight->records(), from, to, visitor, context)) {
    return {};
  }
  ScanBatch(*parts_->open, open_records_, from, to, visitor, context);
  return {};
}

}  // namespace quorate::mvcc
