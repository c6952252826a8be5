// The way to the other members, as the member sees it. src/peer implements it over etcd's peer protocol, the
// simulator in memory. Core thread only, both ways.
//
// What comes in goes to the Member: Step, ReportUnreachable, ReportSnapshot, OnRefusedAsRemoved; received
// databases pass through SnapshotIntake (snapshot_intake.h), requests of one member to another through
// PeerService (peer_service.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "mvcc/backend.h"
#include "raft/types.h"

namespace quorate::server {

// How a message of another member came here.
enum class MessagePath : uint8_t {
  kStream,  // On a stream that this member has opened to a URL of the sender: it is the sender's.
  kPost,    // Sent to our port in the sender's name, as whoever reaches that port can, without client
            // certificates in anybody's name. Raft takes it, as etcd does; nothing that lasts may rest on it.
};

// A request of one member to another on the peer port: HTTP there, a function call in the simulator.
struct PeerCall {
  std::string method = "GET";
  std::string path;  // "/version", with the query if there is one.
  std::string body;
  std::string content_type;
  std::string token;  // Of the user on whose behalf it is made; goes into Authorization. Empty: none.
};

struct PeerAnswer {
  int status = 0;  // As in HTTP.
  std::string body;
  std::string content_type;
};

class Transport {
 public:
  using CallDone = std::function<void(StatusOr<PeerAnswer>)>;

  virtual ~Transport() = default;

  // Whom to talk to. Adding one that is there replaces its URLs. Nothing is sent to unknown members.
  virtual void AddPeer(uint64_t id, const std::vector<std::string>& urls) = 0;
  virtual void RemovePeer(uint64_t id) = 0;

  // Never waits and never queues without bound: what can't go out is dropped, and Member::ReportUnreachable
  // says so. No message is kSnap. Messages to one member leave in order.
  virtual void Send(std::vector<raft::Message> messages) = 0;
  // The message (kSnap) and the database that goes with it. Member::ReportSnapshot tells raft how it ended,
  // always.
  virtual void SendSnapshot(raft::Message message, std::shared_ptr<mvcc::Backend::Snapshot> database) = 0;

  // Since when the member has been reachable without a break, in monotonic nanoseconds; 0: it is not.
  virtual int64_t ActiveSince(uint64_t id) const = 0;

  // Asks one member; `done` runs once, in a later round: the answer whatever its status, Unavailable when no
  // URL of the member answered, DeadlineExceeded after `timeout_nanos`.
  virtual void Call(uint64_t to, PeerCall call, int64_t timeout_nanos, CallDone done) = 0;
};

}  // namespace quorate::server
