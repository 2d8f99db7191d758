using DotNext.Net.Cluster.Consensus.Raft.StateMachine;

namespace Quorumail.Cluster.Raft;

/// <summary>The engine's file with term and vote, without a log.</summary>
internal sealed class VoteFile(string directory)
    : WriteAheadLog(new Options { Location = directory, ChunkSize = 4096 }, IStateMachine.CreateNoOp());
