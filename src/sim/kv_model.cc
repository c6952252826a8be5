#include "sim/kv_model.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quorate::sim {
namespace {

bool Holds(const Compare& compare, const std::optional<Pair>& pair) {
  int order = 0;
  if (compare.target == Compare::Target::kValue) {
    if (!pair) return false;  // What is not there has no value to compare.
    order = pair->value.compare(compare.value);
  } else {
    const Pair at = pair.value_or(Pair{});
    int64_t number = 0;
    if (compare.target == Compare::Target::kVersion) number = at.version;
    if (compare.target == Compare::Target::kCreate) number = at.create;
    if (compare.target == Compare::Target::kMod) number = at.mod;
    if (compare.target == Compare::Target::kLease) number = at.lease;
    order = number < compare.number ? -1 : number > compare.number;
  }
  switch (compare.result) {
    case Compare::Result::kEqual:
      return order == 0;
    case Compare::Result::kGreater:
      return order > 0;
    case Compare::Result::kLess:
      return order < 0;
    case Compare::Result::kNotEqual:
      return order != 0;
  }
  return false;
}

// The requests of one transaction on top of a state.
class Overlay {
 public:
  Overlay(const KvModel* model, int64_t revision) : model_(*model), base_(revision) {}

  std::vector<Pair> Range(const std::string& key, const std::string& end) const {
    std::map<std::string, Pair> found;
    for (Pair& pair : model_.Range(key, end, base_)) found.emplace(pair.key, pair);
    for (const auto& [changed, pair] : changed_) {
      if (!InRange(changed, key, end)) continue;
      found.erase(changed);
      if (pair) found.emplace(changed, *pair);
    }
    std::vector<Pair> out;
    for (auto& [name, pair] : found) out.push_back(std::move(pair));
    return out;
  }
  void Put(const SimpleOp& op) {
    const std::vector<Pair> before = Range(op.key, "");
    Pair pair{op.key, op.value, base_ + 1, base_ + 1, 1, op.lease};
    std::optional<Pair> previous;
    if (!before.empty()) {
      previous = before.front();
      pair.create = previous->create;
      pair.version = previous->version + 1;
    }
    changed_[op.key] = pair;
    events.push_back({false, std::move(pair), std::move(previous)});
  }
  int64_t Delete(const SimpleOp& op) {
    int64_t deleted = 0;
    for (Pair& pair : Range(op.key, op.end)) {
      changed_[pair.key] = std::nullopt;
      Event event;
      event.deletion = true;
      event.pair.key = pair.key;
      event.pair.mod = base_ + 1;
      event.previous = std::move(pair);
      events.push_back(std::move(event));
      ++deleted;
    }
    return deleted;
  }
  SimpleAnswer Run(const SimpleOp& op) {
    SimpleAnswer answer{.kind = op.kind, .pairs = {}};
    if (op.kind == OpKind::kPut) Put(op);
    if (op.kind == OpKind::kDelete) answer.deleted = Delete(op);
    if (op.kind == OpKind::kRange) {
      answer.pairs = op.revision > 0 ? model_.Range(op.key, op.end, op.revision) : Range(op.key, op.end);
      answer.count = static_cast<int64_t>(answer.pairs.size());
    }
    return answer;
  }

  std::vector<Event> events;

 private:
  const KvModel& model_;
  const int64_t base_;
  std::map<std::string, std::optional<Pair>> changed_;
};

}  // namespace

const std::vector<Event>& KvModel::EventsAt(int64_t revision) const {
  static const std::vector<Event> kNone;
  if (revision < 2 || revision > revision_) return kNone;
  return events_[static_cast<size_t>(revision - 2)];
}

std::optional<Pair> KvModel::Get(const std::string& key, int64_t revision) const {
  const auto it = versions_.find(key);
  if (it == versions_.end()) return std::nullopt;
  const auto& versions = it->second;
  const auto after = std::upper_bound(versions.begin(), versions.end(), revision,
                                      [](int64_t r, const Version& version) { return r < version.revision; });
  return after == versions.begin() ? std::nullopt : std::prev(after)->pair;
}

std::vector<Pair> KvModel::Range(std::string_view key, std::string_view end, int64_t revision) const {
  std::vector<Pair> out;
  for (auto it = versions_.lower_bound(std::string(key)); it != versions_.end(); ++it) {
    if (!InRange(it->first, key, end)) break;
    if (auto pair = Get(it->first, revision)) out.push_back(*std::move(pair));
  }
  return out;
}

KvModel::Effect KvModel::Execute(const Request& request, int64_t revision) const {
  Overlay overlay(this, revision);
  Effect effect;
  Response& response = effect.response;
  const SimpleOp op{request.kind, request.key, request.end, request.value, request.lease, 0};
  if (request.kind == OpKind::kRange) {
    response.pairs = Range(request.key, request.end, request.revision > 0 ? request.revision : revision);
    response.count = static_cast<int64_t>(response.pairs.size());
    if (request.limit > 0 && response.count > request.limit) {
      response.pairs.resize(static_cast<size_t>(request.limit));
      response.more = true;
    }
  } else if (request.kind == OpKind::kTxn) {
    response.succeeded =
        std::all_of(request.compares.begin(), request.compares.end(),
                    [&](const Compare& compare) { return Holds(compare, Get(compare.key, revision)); });
    for (const SimpleOp& nested : response.succeeded ? request.then : request.otherwise) {
      response.answers.push_back(overlay.Run(nested));
    }
  } else {
    response.deleted = overlay.Run(op).deleted;
  }
  effect.events = std::move(overlay.events);
  response.revision = revision + (effect.events.empty() ? 0 : 1);
  return effect;
}

// A transaction that reads what is gone, or is to come, is refused as a whole.
bool KvModel::ReadsKnown(const Request& request) const {
  if (request.kind != OpKind::kTxn) return true;
  const bool succeeded = Execute(request, revision_).response.succeeded;
  for (const SimpleOp& op : succeeded ? request.then : request.otherwise) {
    if (op.kind == OpKind::kRange && op.revision > 0 &&
        (op.revision < compacted_ || op.revision > revision_)) {
      return false;
    }
  }
  return true;
}

bool KvModel::LeasesKnown(const Request& request) const {
  const auto known = [&](int64_t lease) { return lease == 0 || leases_.contains(lease); };
  if (request.kind == OpKind::kPut) return known(request.lease);
  if (request.kind != OpKind::kTxn) return true;
  const Effect effect = Execute(request, revision_);
  for (const SimpleOp& op : effect.response.succeeded ? request.then : request.otherwise) {
    if (op.kind == OpKind::kPut && !known(op.lease)) return false;
  }
  return true;
}

void KvModel::AttachLeases(const std::vector<Event>& events) {
  for (const Event& event : events) {
    if (event.previous && event.previous->lease != 0) {
      const auto it = leases_.find(event.previous->lease);
      if (it != leases_.end()) it->second.erase(event.pair.key);
    }
    if (!event.deletion && event.pair.lease != 0) leases_[event.pair.lease].insert(event.pair.key);
  }
}

void KvModel::Commit(std::vector<Event> events) {
  if (events.empty()) return;
  ++revision_;
  AttachLeases(events);
  for (const Event& event : events) {
    auto& versions = versions_[event.pair.key];
    if (!versions.empty() && versions.back().revision == revision_) versions.pop_back();
    versions.push_back({revision_, event.deletion ? std::nullopt : std::optional<Pair>(event.pair)});
  }
  events_.push_back(std::move(events));
}

Response KvModel::Revoke(int64_t lease) {
  Response response;
  const auto it = leases_.find(lease);
  if (it == leases_.end()) {
    response.status = NotFound("no such lease");
    return response;
  }
  std::vector<Event> events;
  for (const std::string& key : it->second) {
    Event event;
    event.deletion = true;
    event.pair.key = key;
    event.pair.mod = revision_ + 1;
    event.previous = Get(key, revision_);
    events.push_back(std::move(event));
  }
  Commit(std::move(events));
  leases_.erase(lease);
  response.revision = revision_;
  return response;
}

// What is refused while a member has the alarm: a transaction for any put in it, whichever way it would go.
bool KvModel::NeedsSpace(const Request& request) const {
  const auto puts = [](const std::vector<SimpleOp>& ops) {
    return std::any_of(ops.begin(), ops.end(), [](const SimpleOp& op) { return op.kind == OpKind::kPut; });
  };
  switch (request.kind) {
    case OpKind::kPut:
    case OpKind::kLeaseGrant:
      return true;
    case OpKind::kTxn:
      return puts(request.then) || puts(request.otherwise);
    default:
      return false;
  }
}

Response KvModel::Apply(const Request& request) {
  Response response;
  response.revision = revision_;
  if (capped() && NeedsSpace(request)) {
    response.status = ResourceExhausted("no space");
    return response;
  }
  switch (request.kind) {
    case OpKind::kPut:
    case OpKind::kDelete:
    case OpKind::kTxn: {
      if (!LeasesKnown(request)) {
        response.status = NotFound("no such lease");
        return response;
      }
      if (!ReadsKnown(request)) {
        response.status = OutOfRange("compacted or to come");
        return response;
      }
      Effect effect = Execute(request, revision_);
      Commit(std::move(effect.events));
      return effect.response;
    }
    case OpKind::kCompact:
      if (request.revision <= compacted_ || request.revision > revision_) {
        response.status = OutOfRange("compacted or to come");
      } else {
        compacted_ = request.revision;
      }
      return response;
    case OpKind::kLeaseGrant:
      if (request.lease == 0 || !leases_.try_emplace(request.lease).second)
        response.status = AlreadyExists("lease");
      return response;
    case OpKind::kLeaseRevoke:
      return Revoke(request.lease);
    case OpKind::kAlarm:
      if (request.activate) {
        no_space_.insert(request.member);
      } else {
        no_space_.erase(request.member);
      }
      return response;
    default:
      return response;
  }
}

}  // namespace quorate::sim
