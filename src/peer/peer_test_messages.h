// For the tests of this folder: messages, made at random or by hand.
#pragma once

#include <memory>
#include <random>
#include <string>

#include "raft/types.h"

namespace quorate::peer {

inline std::shared_ptr<const raft::Snapshot> MakeSnapshot(raft::Index index, raft::Term term) {
  auto snapshot = std::make_shared<raft::Snapshot>();
  snapshot->metadata.conf_state.voters = {1, 2};
  snapshot->metadata.index = index;
  snapshot->metadata.term = term;
  snapshot->data = "{}";
  return snapshot;
}

inline bool Same(const raft::Message& a, const raft::Message& b) {
  const bool snapshots = (a.snapshot == nullptr) == (b.snapshot == nullptr) &&
                         (a.snapshot == nullptr || *a.snapshot == *b.snapshot);
  return snapshots && a.type == b.type && a.to == b.to && a.from == b.from && a.term == b.term &&
         a.log_term == b.log_term && a.index == b.index && a.entries == b.entries && a.commit == b.commit &&
         a.reject == b.reject && a.reject_hint == b.reject_hint && a.context == b.context;
}

// Of any length of varint.
inline uint64_t RandomNumber(std::mt19937_64& random) { return random() >> random() % 64; }

// An append whose entries follow each other, of a type that travels.
inline raft::Message RandomAppend(std::mt19937_64& random) {
  raft::Message message{
      .type = raft::MessageType::kApp, .to = RandomNumber(random), .from = RandomNumber(random)};
  message.log_term = random() % 100;
  message.index = RandomNumber(random) / 2;
  message.term = message.log_term;
  message.commit = RandomNumber(random);
  for (uint64_t i = random() % 6; i > 0; --i) {
    if (random() % 4 == 0) ++message.term;
    raft::Entry entry{.term = message.term, .index = message.index + message.entries.size() + 1};
    entry.data = std::string(random() % 3 == 0 ? 0 : random() % 300, static_cast<char>(random()));
    entry.type = static_cast<raft::EntryType>(random() % 3);
    message.entries.push_back(std::move(entry));
  }
  return message;
}

inline raft::Message RandomMessage(std::mt19937_64& random) {
  raft::Message message = RandomAppend(random);
  message.type = static_cast<raft::MessageType>(random() % 24);
  message.reject = random() % 2 == 0;
  message.reject_hint = RandomNumber(random);
  message.context = std::string(random() % 20, static_cast<char>(random()));
  if (random() % 4 == 0) message.snapshot = MakeSnapshot(1 + RandomNumber(random) / 2, RandomNumber(random));
  return message;
}

}  // namespace quorate::peer
