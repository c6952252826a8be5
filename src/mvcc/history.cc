#include "mvcc/history.h"

#include <string>

#include "mvcc/key_value.h"

namespace quorate::mvcc {

Status HistoryView::Scan(int64_t from, int64_t to, const std::function<bool(const Event&)>& fn) const {
  std::string deletion;
  Status damage;
  const Status scanned =
      view_.Scan({from, 0}, {to, 0}, [&](Revision revision, bool tombstone, std::string_view value) {
        KeyValue kv;
        if (!Decode(value, &kv)) {
          damage = DataLoss(
              "revision " + std::to_string(revision.main) + "/" + std::to_string(revision.sub) +
              " in bucket 'key' of the db file is no KeyValue; restore the member from a snapshot or from "
              "another member");
          return false;
        }
        Event event;
        event.revision = revision;
        event.key = kv.key;
        if (tombstone) {
          const KeyValue sent = DeletionSent(kv.key, revision.main);
          deletion.resize(EncodedSize(sent));
          Encode(sent, deletion.data());
          event.type = EventType::kDelete;
          event.key_value = deletion;
        } else {
          event.create = kv.create_revision == kv.mod_revision;
          event.key_value = value;
        }
        return fn(event);
      });
  QUORATE_RETURN_IF_ERROR(scanned);
  return damage;
}

}  // namespace quorate::mvcc
