#include "sim/node_transport.h"

#include <utility>

#include "raft/describe.h"
#include "sim/node.h"

namespace quorate::sim {
namespace {

// Channels: what is sent over one keeps its order.
constexpr int kMessages = 1;
constexpr int kAppends = 2;
constexpr int kSnapshots = 3;
constexpr int kCalls = 4;

constexpr int64_t kBytesPerMillisecond = 50'000;
constexpr int64_t kSnapshotTimeout = 10 * kSecond;

// Holds what takes in a database; goes with the process.
class IntakeSession final : public Session {
 public:
  IntakeSession(const Env& env, const wal::SnapshotFiles& files, uint64_t index)
      : intake(env, files, index) {}
  server::SnapshotIntake intake;
};

}  // namespace

struct NodeTransport::Transfer {
  raft::Message message;
  std::shared_ptr<mvcc::Backend::Snapshot> database;
  std::string bytes;
  Status read;
  uint64_t life = 0;  // The sender's.
  bool ended = false;
};

struct NodeTransport::Asking {
  uint64_t life = 0;
  CallDone done;
};

void NodeTransport::AddPeer(uint64_t id, const std::vector<std::string>&) { peers_.insert(id); }

void NodeTransport::RemovePeer(uint64_t id) {
  peers_.erase(id);
  remotes_.erase(id);
  active_since_.erase(id);
}

void NodeTransport::Reset() {
  peers_.clear();
  remotes_.clear();
  active_since_.clear();
}

void NodeTransport::Probe() {
  for (const uint64_t id : peers_) {
    const Node* peer = world_.node_of(id);
    const bool reachable = peer != nullptr && peer->up() && !peer->paused() &&
                           !world_.network->blocked(node_.index(), peer->index()) &&
                           !world_.network->blocked(peer->index(), node_.index());
    if (!reachable) {
      active_since_.erase(id);
    } else {
      active_since_.emplace(id, node_.LocalNanos());
    }
  }
}

int64_t NodeTransport::ActiveSince(uint64_t id) const {
  const auto it = active_since_.find(id);
  return it == active_since_.end() ? 0 : it->second;
}

// ---- messages ----

void NodeTransport::Send(std::vector<raft::Message> messages) {
  if (!node_.up()) return;
  for (const raft::Message& message : messages) SendOne(message);
}

void NodeTransport::Lost(uint64_t to) {
  world_.scheduler->After(0, [this, to, life = node_.life()] {
    if (node_.Lives(life)) node_.Run([to](server::Member& member) { member.ReportUnreachable(to); });
  });
}

void NodeTransport::SendOne(const raft::Message& message) {
  world_.raft->OnMessage(node_.index(), message);
  Node* to = world_.node_of(message.to);
  world_.trace->Note(node_.index(), raft::Describe(message.type),
                     {{"to", to == nullptr ? -1 : to->index()},
                      {"term", message.term},
                      {"index", message.index},
                      {"log_term", message.log_term},
                      {"entries", message.entries.size()},
                      {"commit", message.commit},
                      {"reject", message.reject}});
  if (to == nullptr || !to->up() || !Knows(message.to)) return Lost(message.to);
  const int channel = message.type == raft::MessageType::kApp ? kAppends : kMessages;
  std::string bytes;
  auto damage = Network::Damage::kNone;
  if (world_.wire != nullptr) {
    bytes = world_.wire->encode(message);
    damage = world_.network->MayDamage(&bytes);
  }
  const auto arrive = [this, to, message, bytes, damage, life = to->life()] {
    if (!to->Lives(life)) return;
    if (world_.wire == nullptr) return Deliver(to, message);
    DeliverBytes(to, message, bytes, damage);
  };
  const auto lost = [this, id = message.to] { Lost(id); };
  // A proposal that arrived twice would be executed twice; no stream of the peer protocol repeats one.
  if (message.type == raft::MessageType::kProp) {
    world_.network->SendReliably(node_.index(), to->index(), channel, 0, arrive, lost);
  } else {
    world_.network->Send(node_.index(), to->index(), channel, arrive, lost);
  }
}

// What was damaged is lost with its connection, whatever could still be made of it: the checksums of TCP see
// to that. What is only half there, or says that it is longer than it is, must give nothing in any case.
void NodeTransport::DeliverBytes(Node* to, const raft::Message& sent, const std::string& bytes,
                                 Network::Damage damage) {
  const auto messages = world_.wire->decode(to->member_id(), node_.member_id(), bytes);
  if (damage == Network::Damage::kNone) {
    if (messages.ok() && messages->size() == 1) return Deliver(to, messages->front());
    return world_.trace->Fail("whole-message-arrives", ActorName(node_.index()) + " sent " +
                                                           std::string(raft::Describe(sent.type)) + ": " +
                                                           messages.status().ToString());
  }
  world_.trace->Note(to->index(), "gets-damaged-bytes",
                     {{"how", static_cast<int>(damage)}, {"status", messages.status().ToString()}});
  if (damage != Network::Damage::kBits && messages.ok() && !messages->empty()) {
    world_.trace->Fail("half-a-message",
                       ActorName(to->index()) + " made a message of bytes that were cut off");
  }
  Lost(sent.to);
}

void NodeTransport::Deliver(Node* to, const raft::Message& message) {
  to->Run([this, to, message](server::Member& member) {
    to->transport().remotes_.insert(message.from);
    const Status status = member.Step(message, server::MessagePath::kStream);
    if (!status.ok()) {
      world_.trace->Note(to->index(), "refuses",
                         {{"type", raft::Describe(message.type)}, {"status", status.ToString()}});
    }
    if (!absl::IsPermissionDenied(status)) return;
    // We were removed, says the other: HTTP 410.
    const uint64_t life = node_.life();
    world_.network->SendReliably(to->index(), node_.index(), kCalls, 0, [this, life] {
      if (node_.Lives(life)) node_.Run([](server::Member& self) { self.OnRefusedAsRemoved(); });
    });
  });
}

// ---- snapshots ----

void NodeTransport::SendSnapshot(raft::Message message, std::shared_ptr<mvcc::Backend::Snapshot> database) {
  if (!node_.up()) return;
  auto transfer = std::make_shared<Transfer>();
  transfer->message = std::move(message);
  transfer->database = std::move(database);
  transfer->life = node_.life();
  world_.trace->Note(
      node_.index(), "sends-snapshot",
      {{"index", transfer->message.snapshot->metadata.index}, {"bytes", transfer->database->size_bytes()}});
  node_.executor().Submit(
      Lane::kRead,
      [transfer] {
        transfer->read = transfer->database->CopyTo([transfer](std::string_view chunk) {
          transfer->bytes += chunk;
          return absl::OkStatus();
        });
      },
      [this, transfer] { Transmit(transfer); });
  world_.scheduler->After(kSnapshotTimeout, [this, transfer] { EndTransfer(transfer, false); });
}

void NodeTransport::Transmit(const std::shared_ptr<Transfer>& transfer) {
  transfer->database.reset();
  Node* to = world_.node_of(transfer->message.to);
  if (!transfer->read.ok() || to == nullptr || !to->up()) return EndTransfer(transfer, false);
  const int64_t nanos = static_cast<int64_t>(transfer->bytes.size()) / kBytesPerMillisecond * kMillisecond;
  world_.network->SendReliably(
      node_.index(), to->index(), kSnapshots, nanos,
      [this, to, transfer, life = to->life()] {
        if (!to->Lives(life)) return EndTransfer(transfer, false);
        to->Run([this, to, transfer](server::Member&) { TakeIn(to, transfer); });
      },
      [this, transfer] { EndTransfer(transfer, false); });
}

void NodeTransport::TakeIn(Node* to, const std::shared_ptr<Transfer>& transfer) {
  server::Member& member = to->member();
  const uint64_t index = transfer->message.snapshot->metadata.index;
  auto owned = std::make_unique<IntakeSession>(member.env(), member.snapshot_files(), index);
  IntakeSession* session = owned.get();
  const uint64_t handle = to->Keep(std::move(owned));
  // Some transfers break off; half a database must be refused.
  const bool cut = ++world_.transfers % 8 == 3;
  if (cut) transfer->bytes.resize(transfer->bytes.size() / 2);
  session->intake.Append(transfer->bytes);
  session->intake.Finish([this, to, transfer, handle, cut, life = to->life()](const Status& status) {
    if (cut && status.ok()) {
      world_.trace->Fail("half-a-snapshot",
                         ActorName(to->index()) + " took a database that broke off in the middle");
    }
    const bool taken = status.ok() && to->Lives(life) &&
                       to->member().Step(transfer->message, server::MessagePath::kPost).ok();
    world_.snapshots_taken += taken;
    world_.trace->Note(to->index(), "took-snapshot", {{"status", status.ToString()}, {"stepped", taken}});
    world_.scheduler->After(0, [to, handle, life] {
      if (to->Lives(life)) to->Forget(handle);
    });
    world_.network->SendReliably(
        to->index(), node_.index(), kSnapshots, 0, [this, transfer, taken] { EndTransfer(transfer, taken); },
        [this, transfer] { EndTransfer(transfer, false); });
  });
}

void NodeTransport::EndTransfer(const std::shared_ptr<Transfer>& transfer, bool ok) {
  if (std::exchange(transfer->ended, true) || !node_.Lives(transfer->life)) return;
  const uint64_t to = transfer->message.to;
  // Raft hears of it in an event of its own.
  world_.scheduler->After(0, [this, to, ok, life = transfer->life] {
    if (node_.Lives(life)) node_.Run([to, ok](server::Member& member) { member.ReportSnapshot(to, ok); });
  });
}

// ---- calls ----

void NodeTransport::Answer(const std::shared_ptr<Asking>& asking, StatusOr<server::PeerAnswer> answer) {
  if (!asking->done) return;
  const CallDone done = std::exchange(asking->done, nullptr);
  if (!node_.Lives(asking->life)) return;
  node_.Run([done, answer = std::move(answer)](server::Member&) { done(answer); });
}

void NodeTransport::Call(uint64_t to, server::PeerCall call, int64_t timeout_nanos, CallDone done) {
  auto asking = std::make_shared<Asking>(Asking{node_.life(), std::move(done)});
  const auto unavailable = [this, asking] { Answer(asking, Unavailable("no URL of the member answered")); };
  world_.scheduler->After(timeout_nanos, [this, asking] {
    Answer(asking, MakeStatus(absl::StatusCode::kDeadlineExceeded, "the member did not answer in time"));
  });
  Node* peer = world_.node_of(to);
  if (peer == nullptr || !peer->up()) {
    world_.scheduler->After(kMillisecond, unavailable);
    return;
  }
  world_.network->SendReliably(
      node_.index(), peer->index(), kCalls, 0,
      [this, peer, call, asking, unavailable, life = peer->life()] {
        if (!peer->Lives(life)) return unavailable();
        if (peer->etcd_like() && call.path.starts_with("/quorate/")) {
          return Answer(
              asking, server::PeerAnswer{.status = 404, .body = "404 page not found\n", .content_type = {}});
        }
        peer->Run([this, peer, call, asking](server::Member&) {
          peer->cluster_life().peer_service().Handle(call, [this, peer, asking](server::PeerAnswer answer) {
            world_.network->SendReliably(peer->index(), node_.index(), kCalls, 0,
                                         [this, asking, answer] { Answer(asking, answer); });
          });
        });
      },
      unavailable);
}

}  // namespace quorate::sim
