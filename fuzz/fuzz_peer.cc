// What other members send: messages, both kinds of streams, the body of a snapshot, probe answers, URLs.
// The first byte chooses. Streams and bodies come in pieces whose sizes the second byte gives.
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/env_sim.h"
#include "fuzz/input.h"
#include "net/loop.h"
#include "peer/context.h"
#include "peer/endpoint.h"
#include "peer/message_codec.h"
#include "peer/prober.h"
#include "peer/snapshot_receiver.h"
#include "peer/stream_codec.h"

namespace quorate::peer {
namespace {

constexpr uint64_t kLocal = 1;
constexpr uint64_t kRemote = 2;

std::string Encoded(const raft::Message& message) {
  std::string out;
  AppendMessage(out, message);
  QUORATE_CHECK(out.size() == EncodedSize(message));
  return out;
}

void OneMessage(fuzz::Input& input) {
  const auto message = DecodeMessage(input.Rest());
  if (!message.ok()) return;
  const std::string bytes = Encoded(*message);
  const auto again = DecodeMessage(bytes);
  QUORATE_CHECK(again.ok() && Encoded(*again) == bytes);
  static_cast<void>(CheckMessage(*message));
}

// Messages are the same however the bytes are split, and what was decoded can be sent on.
void Stream(fuzz::Input& input, StreamKind kind) {
  const size_t step = 1 + input.Byte();
  const std::string_view bytes = input.Rest();
  std::vector<raft::Message> whole;
  std::vector<raft::Message> split;
  StreamDecoder at_once(kind, kLocal, kRemote);
  const Status first = at_once.Feed(bytes, [&](raft::Message m) {
    whole.push_back(std::move(m));
    return true;
  });
  StreamDecoder in_pieces(kind, kLocal, kRemote);
  Status second;
  for (size_t i = 0; i < bytes.size() && second.ok(); i += step) {
    second = in_pieces.Feed(bytes.substr(i, step), [&](raft::Message m) {
      split.push_back(std::move(m));
      return true;
    });
  }
  QUORATE_CHECK(first.ok() == second.ok() && whole.size() == split.size());
  StreamEncoder encoder(kind);
  std::string sent;
  for (size_t i = 0; i < whole.size(); ++i) {
    QUORATE_CHECK(Encoded(whole[i]) == Encoded(split[i]));
    const bool append = whole[i].type == raft::MessageType::kApp && CheckMessage(whole[i]).ok();
    if (kind == StreamKind::kMessage || append) encoder.Append(sent, whole[i]);
  }
}

void AppendStream(fuzz::Input& input) { Stream(input, StreamKind::kAppend); }
void MessageStream(fuzz::Input& input) { Stream(input, StreamKind::kMessage); }

class Events : public PeerEvents {
 public:
  Events(const Env& env, wal::SnapshotFiles* files) : env_(env), files_(files) {}
  Status Step(raft::Message message) override {
    QUORATE_CHECK(message.type == raft::MessageType::kSnap && message.to == kLocal &&
                  message.from == kRemote);
    QUORATE_CHECK(env_.files->Exists(files_->DatabasePath(message.snapshot->metadata.index)));
    return absl::OkStatus();
  }
  bool IsRemoved(uint64_t) const override { return false; }
  std::string ServerVersion() const override { return "3.4.45"; }
  void ReportUnreachable(uint64_t) override {}
  void ReportSnapshot(uint64_t, bool) override {}
  void OnRefusedAsRemoved() override {}
  std::unique_ptr<server::SnapshotIntake> NewIntake(uint64_t index) override {
    return std::make_unique<server::SnapshotIntake>(env_, *files_, index);
  }
  void Serve(server::PeerCall, Answer answer) override { answer({}); }

 private:
  const Env env_;
  wal::SnapshotFiles* const files_;
};

void SnapshotBody(fuzz::Input& input) {
  static net::Loop loop;
  const size_t step = 1 + 16 * size_t{input.Byte()};
  const std::string_view bytes = input.Rest();
  SimFileSystem files(1);
  QUORATE_CHECK(files.CreateDirectories("/snap", 0700).ok());
  SimClock clock;
  SeededRandom random(1);
  InlineExecutor executor;
  const Env env{&files, &clock, &random, &executor};
  wal::SnapshotFiles snapshots(&files, "/snap");
  Events events(env, &snapshots);
  const auto context = std::make_shared<Context>(&loop, env);
  context->events = &events;
  context->local_id = kLocal;
  context->cluster_id = 3;
  const auto receiving = std::make_shared<ReceivingSnapshots>();
  auto receiver = std::make_shared<SnapshotReceiver>(context, receiving, kRemote, "127.0.0.1:1");
  receiver->OnBegin(net::HttpReply());
  for (size_t i = 0; i < bytes.size(); i += step) receiver->OnBytes(bytes.substr(i, step));
  if (bytes.size() % 2 == 0) receiver->OnEnd();
  receiver.reset();
  while (executor.RunCompletions() > 0) {
  }
  QUORATE_CHECK(receiving->count == 0);
}

void Texts(fuzz::Input& input) {
  const std::string_view text = input.Rest();
  if (const auto nanos = ParseProbeAnswer(text)) static_cast<void>(ProbeAnswer(*nanos));
  static_cast<void>(ParseEndpoint(text));
}

constexpr void (*kTargets[])(fuzz::Input&) = {OneMessage, AppendStream, MessageStream, SnapshotBody, Texts};

}  // namespace
}  // namespace quorate::peer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::KeepQuiet();
  quorate::fuzz::Input input(data, size);
  const uint8_t choice = input.Byte();
  quorate::peer::kTargets[choice % std::size(quorate::peer::kTargets)](input);
  return 0;
}
