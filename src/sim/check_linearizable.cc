#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sim/checkers.h"

namespace quorate::sim {
namespace {

bool Writes(OpKind kind) { return kind == OpKind::kPut || kind == OpKind::kDelete || kind == OpKind::kTxn; }

// Whether the order of revisions binds it.
bool Ordered(const Operation& op) {
  if (!op.acknowledged()) return false;
  return Writes(op.request.kind) || (op.request.kind == OpKind::kRange && !op.request.serializable);
}

std::string Text(const std::vector<Event>& events) {
  std::string text;
  for (const Event& event : events) text += (text.empty() ? "" : ", ") + Describe(event);
  return text.empty() ? "nothing" : text;
}

Violation CompareAnswers(const Operation& op, const Response& expected) {
  const Response& seen = op.response;
  const std::string at = " at revision " + std::to_string(seen.revision) + ": " + Describe(op);
  if (seen.pairs != expected.pairs) {
    std::string text = "the answer is not the state" + at + "; the state:";
    for (const Pair& pair : expected.pairs) text += " " + Describe(pair);
    return text;
  }
  if (op.request.kind == OpKind::kRange && (seen.count != expected.count || seen.more != expected.more)) {
    return "count " + std::to_string(seen.count) + " instead of " + std::to_string(expected.count) + at;
  }
  if (seen.deleted != expected.deleted) {
    return "deleted " + std::to_string(seen.deleted) + " instead of " + std::to_string(expected.deleted) + at;
  }
  if (op.request.kind == OpKind::kTxn && seen.succeeded != expected.succeeded) {
    return "the compares came out wrong" + at;
  }
  if (seen.answers != expected.answers) return "an answer within the transaction is wrong" + at;
  return std::nullopt;
}

// The operation against the model at the revision that it claims.
Violation CheckContent(const Operation& op, const KvModel& model) {
  const int64_t revision = op.response.revision;
  if (revision < 1 || revision > model.revision()) {
    return "revision " + std::to_string(revision) + " never existed: " + Describe(op);
  }
  if (op.request.kind == OpKind::kRange && op.request.revision > revision) {
    return "a read of a revision to come was answered: " + Describe(op);
  }
  const bool changed = SaysChanged(op);
  const KvModel::Effect expected = model.Execute(op.request, changed ? revision - 1 : revision);
  if (changed && expected.events != model.EventsAt(revision)) {
    return "revision " + std::to_string(revision) + " holds " + Text(model.EventsAt(revision)) +
           ", not what " + Describe(op) + " did";
  }
  if (!changed && !expected.events.empty()) return "it should have changed something: " + Describe(op);
  return CompareAnswers(op, expected.response);
}

struct ByAnswer {
  bool operator()(const Operation* a, const Operation* b) const { return a->answered < b->answered; }
};

}  // namespace

Violation CheckLinearizable(const History& history, const KvModel& model, const FirstSeen& first_seen) {
  std::vector<const Operation*> by_asking, by_answer;
  std::map<int64_t, const Operation*> claimed;
  for (const auto& [id, op] : history.operations) {
    if (!Ordered(op)) continue;
    if (Violation wrong = CheckContent(op, model)) return wrong;
    if (op.answered < first_seen(op.response.revision)) {
      return "answered before its revision existed: " + Describe(op);
    }
    if (SaysChanged(op)) {
      const auto [it, fresh] = claimed.emplace(op.response.revision, &op);
      if (!fresh) return "two writes claim one revision: " + Describe(*it->second) + " and " + Describe(op);
      if (op.asked > first_seen(op.response.revision)) {
        return "its revision existed before it was asked for: " + Describe(op);
      }
    }
    by_asking.push_back(&op);
    by_answer.push_back(&op);
  }
  std::stable_sort(by_asking.begin(), by_asking.end(),
                   [](const Operation* a, const Operation* b) { return a->asked < b->asked; });
  std::stable_sort(by_answer.begin(), by_answer.end(), ByAnswer());
  // The highest revision among all that had been answered when this one was asked for.
  const Operation* highest = nullptr;
  size_t answered = 0;
  for (const Operation* op : by_asking) {
    for (; answered < by_answer.size() && by_answer[answered]->answered < op->asked; ++answered) {
      const Operation* earlier = by_answer[answered];
      if (highest == nullptr || earlier->response.revision > highest->response.revision) highest = earlier;
    }
    if (highest == nullptr) continue;
    const int64_t least = highest->response.revision + (SaysChanged(*op) ? 1 : 0);
    if (op->response.revision < least) {
      return "time went back: " + Describe(*op) + ", after " + Describe(*highest);
    }
  }
  return std::nullopt;
}

Violation CheckSerializable(const History& history, const KvModel& model, const FirstSeen& first_seen) {
  // By process, in order of the answers' making: a client's requests are one after the other, so per client.
  std::map<std::pair<int, std::pair<int, uint64_t>>, const Operation*> last;
  for (const auto& [id, op] : history.operations) {
    if (!op.acknowledged() || op.request.kind != OpKind::kRange || !op.request.serializable) continue;
    if (Violation wrong = CheckContent(op, model)) return wrong;
    if (op.answered < first_seen(op.response.revision)) {
      return "answered before its revision existed: " + Describe(op);
    }
    const Operation*& before = last[{op.client, {op.member, op.life}}];
    if (before != nullptr && before->answered < op.asked &&
        op.response.revision < before->response.revision) {
      return "a process went back: " + Describe(op) + ", after " + Describe(*before);
    }
    before = &op;
  }
  return std::nullopt;
}

Violation CheckHashes(const History& history) {
  std::map<std::pair<int64_t, int64_t>, const Operation*> known;
  for (const auto& [id, op] : history.operations) {
    if (!op.acknowledged() || op.request.kind != OpKind::kHashKv) continue;
    const int64_t revision = op.request.revision > 0 ? op.request.revision : op.response.revision;
    const auto [it, fresh] = known.emplace(std::pair(revision, op.response.compact_revision), &op);
    if (!fresh && it->second->response.hash != op.response.hash) {
      return "hashes of revision " + std::to_string(revision) + " differ: " + Describe(*it->second) +
             " and " + Describe(op);
    }
  }
  return std::nullopt;
}

}  // namespace quorate::sim
