#include "sim/client.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "sim/front.h"

namespace quorate::sim {
namespace {

constexpr int kRequests = 10;  // The channel of a client's connection to a member.

}  // namespace

Client::Client(World* world, const Endpoints* endpoints, ClientOptions options)
    : world_(*world), endpoints_(*endpoints), options_(options), random_(options.seed) {}

void Client::Start() {
  world_.scheduler->After(static_cast<int64_t>(random_.Below(static_cast<uint64_t>(options_.think_nanos))),
                          [this] { Next(); });
}

Node* Client::ChooseNode() {
  if (endpoints_.empty()) return nullptr;
  const bool known = std::find(endpoints_.begin(), endpoints_.end(), sticky_) != endpoints_.end();
  if (!known || Chance(20)) sticky_ = endpoints_[random_.Below(endpoints_.size())];
  return sticky_;
}

void Client::Next() {
  if (stopped_ || waiting_) return;
  waiting_ = true;
  Ask(Choose(), nullptr, [this](const Operation& operation) {
    waiting_ = false;
    OnAnswer(operation);
    const auto spread = static_cast<uint64_t>(2 * options_.think_nanos);
    world_.scheduler->After(static_cast<int64_t>(random_.Below(spread)) + kMicrosecond, [this] { Next(); });
  });
}

void Client::Ask(Request request, Node* of, std::function<void(const Operation&)> done) {
  Node* node = of != nullptr ? of : ChooseNode();
  const uint64_t id = world_.history->operations.size() + 1;
  Operation& operation = world_.history->operations[id];
  operation.id = id;
  operation.client = options_.number;
  operation.request = std::move(request);
  operation.request.user = options_.user;
  operation.asked = world_.now();
  operation.member = node == nullptr ? -1 : node->index();
  open_[id] = std::move(done);
  ++asked_;
  world_.trace->Note(actor(), "asks",
                     {{"op", id}, {"of", operation.member}, {"request", Describe(operation.request)}});
  world_.scheduler->After(options_.timeout_nanos, [this, id] { GiveUp(id); });
  if (node == nullptr) return;
  world_.network->SendReliably(actor(), node->index(), kRequests, 0, [this, node, id] {
    const auto answer = [this, node, id](Response response) {
      if (world_.answers.empty()) world_.scheduler->After(0, [this] { SendAnswers(); });
      world_.answers[id] = [this, node, id, response = std::move(response)] {
        world_.network->SendReliably(node->index(), actor(), kRequests, 0,
                                     [this, id, response] { Arrive(id, response); });
      };
    };
    Operation& asked = world_.history->operations.at(id);
    if (!node->up() || !node->member().ready() || node->quarantined()) {
      Response refused;
      refused.status = Unavailable("connection refused");
      return answer(refused);
    }
    node->Run([node, answer, request = asked.request, life = &asked.life](server::Member&) {
      *life = node->life();
      Serve(*node, request, [node, answer, mine = node->life()](Response response) {
        if (node->Lives(mine)) answer(std::move(response));
      });
    });
  });
}

void Client::SendAnswers() {
  for (const auto& [op, send] : std::exchange(world_.answers, {})) send();
}

void Client::Finish(Operation& operation, const std::function<void(const Operation&)>& done) {
  if (operation.acknowledged()) {
    ++acknowledged_;
    revision_ = std::max(revision_, operation.response.revision);
  }
  world_.trace->Note(actor(), "has-answer",
                     {{"op", operation.id},
                      {"status", operation.response.status.ToString()},
                      {"revision", operation.response.revision}});
  if (done) done(operation);
}

void Client::Arrive(uint64_t op, Response response) {
  const auto it = open_.find(op);
  if (it == open_.end()) return;
  const auto done = std::move(it->second);
  open_.erase(it);
  Operation& operation = world_.history->operations.at(op);
  operation.answered = world_.now();
  operation.response = std::move(response);
  if (!operation.response.status.ok()) sticky_ = nullptr;
  Finish(operation, done);
}

void Client::GiveUp(uint64_t op) {
  const auto it = open_.find(op);
  if (it == open_.end()) return;
  const auto done = std::move(it->second);
  open_.erase(it);
  sticky_ = nullptr;
  Operation& operation = world_.history->operations.at(op);
  operation.response.status = Unavailable("no answer in time");
  Finish(operation, done);
}

std::string Client::RandomKey() {
  const std::string number = std::to_string(random_.Below(static_cast<uint64_t>(options_.keys)));
  return "k" + std::string(number.size() < 2 ? 1 : 0, '0') + number;
}

void Client::RandomRange(Request* request) {
  request->key = RandomKey();
  if (Chance(40)) return;
  if (Chance(30)) {
    request->key = "k";
    request->end = "l";
    return;
  }
  request->end = RandomKey();
  if (request->end < request->key) std::swap(request->key, request->end);
  if (request->end == request->key) request->end += "z";
}

std::string Client::FreshValue() {
  std::string value = "v" + std::to_string(options_.number) + "." + std::to_string(++values_);
  if (options_.big_values && Chance(10)) value += "." + std::string(1 + random_.Below(8000), 'x');
  return value;
}

// ---- what they ask ----

Request KeyClient::ChooseTxn() {
  Request request;
  request.kind = OpKind::kTxn;
  Compare& compare = request.compares.emplace_back();
  compare.key = RandomKey();
  compare.target = static_cast<Compare::Target>(random_.Below(4));
  compare.result = static_cast<Compare::Result>(random_.Below(4));
  compare.number = compare.target == Compare::Target::kVersion
                       ? static_cast<int64_t>(random_.Below(4))
                       : std::max<int64_t>(0, revision_ - static_cast<int64_t>(random_.Below(30)));
  compare.value = "v" + std::to_string(random_.Below(4)) + ".5";
  // No key twice: the original refuses it.
  const std::string first = "k0" + std::to_string(random_.Below(5));
  const std::string second = "k0" + std::to_string(5 + random_.Below(5));
  request.then.push_back({OpKind::kPut, first, {}, FreshValue(), 0, 0});
  if (Chance(50)) request.then.push_back({OpKind::kRange, "k", "l", {}, 0, 0});
  if (Chance(50)) request.then.push_back({Chance(50) ? OpKind::kPut : OpKind::kDelete, second, {}, {}, 0, 0});
  if (request.then.back().kind == OpKind::kPut && request.then.size() > 1)
    request.then.back().value = FreshValue();
  request.otherwise.push_back({OpKind::kRange, compare.key, {}, {}, 0, 0});
  if (Chance(30)) request.otherwise.push_back({OpKind::kDelete, second, {}, {}, 0, 0});
  return request;
}

Request KeyClient::ChooseRead() {
  Request request;
  RandomRange(&request);
  request.serializable = Chance(30);
  if (Chance(15)) request.limit = 1 + static_cast<int64_t>(random_.Below(5));
  if (Chance(15))
    request.revision = std::max<int64_t>(1, revision_ - static_cast<int64_t>(random_.Below(60)));
  return request;
}

Request KeyClient::Choose() {
  const uint64_t dice = random_.Below(100);
  if (dice < 40) return ChooseRead();
  if (dice < 60) return ChooseTxn();
  Request request;
  if (dice < 70) {
    request.kind = OpKind::kDelete;
    RandomRange(&request);
    if (request.end == "l") request.end.clear(), request.key = RandomKey();
    return request;
  }
  request.kind = OpKind::kPut;
  request.key = RandomKey();
  request.value = FreshValue();
  return request;
}

Request LeaseClient::Grant() {
  Request request;
  request.kind = OpKind::kLeaseGrant;
  request.lease = (options_.number + 1) * 1'000'000 + ++granted_;
  request.ttl = 2 + static_cast<int64_t>(random_.Below(5));
  held_.push_back({request.lease, static_cast<int64_t>(random_.Below(12))});
  return request;
}

Request LeaseClient::Choose() {
  if (held_.empty() || Chance(15)) return Grant();
  const size_t which = random_.Below(held_.size());
  Held& held = held_[which];
  Request request;
  request.lease = held.id;
  if (Chance(35)) {
    request.kind = OpKind::kPut;
    request.key = "l" + RandomKey();
    request.value = FreshValue();
    return request;
  }
  if (Chance(4)) {
    request.kind = OpKind::kLeaseRevoke;
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(which));
    return request;
  }
  request.kind = OpKind::kLeaseKeepAlive;
  if (--held.renewals_left <= 0) held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(which));
  return request;
}

// What is gone is not renewed any more.
void LeaseClient::OnAnswer(const Operation& operation) {
  if (!operation.acknowledged() || operation.request.kind != OpKind::kLeaseKeepAlive ||
      operation.response.ttl > 0) {
    return;
  }
  std::erase_if(held_, [&](const Held& held) { return held.id == operation.request.lease; });
}

Request AuthClient::Change(AuthChange change, std::string key, std::string value, std::string end) {
  Request request;
  request.kind = OpKind::kAuth;
  request.change = change;
  request.key = std::move(key);
  request.value = std::move(value);
  request.end = std::move(end);
  return request;
}

Request AuthClient::ChoosePermission() {
  Request range;
  RandomRange(&range);
  constexpr AuthChange kChanges[] = {AuthChange::kGrantRead, AuthChange::kGrantWrite, AuthChange::kGrantBoth,
                                     AuthChange::kGrantBoth, AuthChange::kRevokePermission};
  return Change(kChanges[random_.Below(std::size(kChanges))], range.key, Chance(80) ? "r0" : "r1", range.end);
}

Request AuthClient::Choose() {
  const Request beginning[] = {
      Change(AuthChange::kUserAdd, "root"),  Change(AuthChange::kGrantRole, "root", "root"),
      Change(AuthChange::kRoleAdd, "r0"),    Change(AuthChange::kGrantBoth, "k00", "r0", "k10"),
      Change(AuthChange::kUserAdd, "alice"), Change(AuthChange::kGrantRole, "alice", "r0"),
      Change(AuthChange::kEnable, ""),
  };
  if (prepared_ < std::size(beginning)) return beginning[prepared_];
  const uint64_t dice = random_.Below(100);
  if (dice < 50) return ChoosePermission();
  if (dice < 60) return Change(Chance(70) ? AuthChange::kEnable : AuthChange::kDisable, "");
  if (dice < 70) return Change(Chance(70) ? AuthChange::kUserAdd : AuthChange::kUserDelete, "alice");
  if (dice < 85) {
    return Change(Chance(70) ? AuthChange::kGrantRole : AuthChange::kRevokeRole, "alice",
                  Chance(70) ? "r0" : "r1");
  }
  return Change(Chance(80) ? AuthChange::kRoleAdd : AuthChange::kRoleDelete, Chance(70) ? "r0" : "r1");
}

// A step whose answer was lost may be done; what is refused is done, or can't be.
void AuthClient::OnAnswer(const Operation& operation) {
  if (operation.answered >= 0 && !absl::IsUnavailable(operation.response.status)) ++prepared_;
}

Request OperatorClient::Choose() {
  Request request;
  if (options_.disarms && Chance(20)) {
    request.kind = OpKind::kDisarm;
    return request;
  }
  const uint64_t dice = random_.Below(100);
  if (dice < 30) {
    request.kind = OpKind::kCompact;
    request.revision = std::max<int64_t>(1, revision_ - static_cast<int64_t>(random_.Below(60)));
  } else if (dice < 45) {
    request.kind = OpKind::kDefragment;
  } else if (dice < 55) {
    request.kind = OpKind::kSnapshot;
  } else if (dice < 80) {
    request.kind = OpKind::kHashKv;
    request.revision = Chance(50) ? 0 : std::max<int64_t>(1, revision_ / 20 * 20);
  } else if (dice < 90) {
    request.kind = OpKind::kMoveLeader;
    const Node* to = ChooseNode();
    request.member = to == nullptr ? 0 : to->member_id();
  } else {
    request.kind = OpKind::kRange;
    request.key = "k";
    request.end = "l";
  }
  return request;
}

}  // namespace quorate::sim
