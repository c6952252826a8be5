// Text forms for logs, tests and debugging, equal to etcd-io/raft's Describe functions, letter for letter.
// Those of quorum, progress and tracker stand with their types.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "raft/raw_node.h"
#include "raft/types.h"

namespace quorate::raft {

const char* Describe(MessageType type);     // "MsgApp"
const char* Describe(EntryType type);       // "EntryNormal"
const char* Describe(ConfChangeType type);  // "ConfChangeAddNode"
const char* Describe(Role role);            // "StateLeader"

std::string Describe(const Entry& entry);              // "1/11 EntryNormal \"foo\""
std::string Describe(std::span<const Entry> entries);  // A line each.
std::string Describe(const HardState& state);
std::string Describe(const SoftState& state);
std::string Describe(const ConfState& state);
std::string Describe(const Snapshot& snapshot);
std::string Describe(const ConfChangeV2& change);
std::string Describe(const ReadState& state);
// Several lines when there are several entries, a snapshot or responses; each begins with the indent.
std::string Describe(const Message& message, std::string_view indent = {});
// The body of a Ready, without the messages.
std::string DescribeWithoutMessages(const Ready& ready);

// A Go string literal.
std::string Quote(std::string_view bytes);

}  // namespace quorate::raft
