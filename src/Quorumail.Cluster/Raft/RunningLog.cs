using System.Net;
using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Membership;
using Quorumail.Cluster.Transport;

namespace Quorumail.Cluster.Raft;

/// <summary>The parts of a log on a disk that has an identity, from its start to its stop.</summary>
internal sealed class RunningLog : IAsyncDisposable
{
    private readonly bool _ownsJournal;
    private readonly EntryJournal _journal;

    private RunningLog(
        NodeIdentity identity, ReplicatedStates states, StateApplier applier, MembershipFile membership, EntryJournal journal, bool ownsJournal, RaftTrail trail, RaftNode node, SnapshotIntake intake)
    {
        Identity = identity;
        States = states;
        Applier = applier;
        Membership = membership;
        _journal = journal;
        _ownsJournal = ownsJournal;
        Trail = trail;
        Node = node;
        Intake = intake;
    }

    /// <summary>Who this disk is.</summary>
    public NodeIdentity Identity { get; }

    /// <summary>What the log makes.</summary>
    public ReplicatedStates States { get; }

    /// <summary>Applies the log.</summary>
    public StateApplier Applier { get; }

    /// <summary>The members as the applied log says.</summary>
    public MembershipFile Membership { get; }

    /// <summary>The entries as the engine sees them.</summary>
    public RaftTrail Trail { get; }

    /// <summary>The engine.</summary>
    public RaftNode Node { get; }

    /// <summary>Takes snapshots.</summary>
    public SnapshotIntake Intake { get; }

    /// <summary>How large the log is on the disk.</summary>
    public JournalSize Size => _journal.Size;

    /// <summary>Takes a follower's commands; set when proposals are taken.</summary>
    public Func<ForwardedCommands, bool>? Forward { get; set; }

    /// <summary>Confirms that this node still leads, and gives the commit index from before.</summary>
    public Func<CancellationToken, ValueTask<long>>? Confirm { get; set; }

    /// <summary>Takes part in handing over leadership; set when the node runs.</summary>
    public Func<LeadFrame, FrameReader, CancellationToken, ValueTask<ReadOnlyMemory<byte>>>? Lead { get; set; }

    /// <summary>Opens the files and prepares the engine; <see cref="RaftNode.StartAsync"/> starts it.</summary>
    /// <exception cref="JournalException">The disk counts as wiped.</exception>
    public static async Task<RunningLog> OpenAsync(
        ClusterNodeOptions options, NodeIdentity identity, ClusterNodeStates states, EntryJournal? given, ITransport? transport, TimeProvider time, ILogger logger, Action<Exception> failed, CancellationToken token)
    {
        EntryJournal journal = given ?? EntryJournal.Open(Path.Combine(options.Directory, "journal"), options.SegmentBytes);
        RaftTrail? trail = null;
        try
        {
            ReplicatedStates all = await SettleAsync(options, states, journal, token);
            DnsEndPoint self = new(identity.NodeId, identity.Incarnation);
            MembershipFile membership = MembershipFile.Read(Path.Combine(options.Directory, "members"));
            string votes = Path.Combine(options.Directory, "vote");
            StateApplier applier = new(all);
            trail = new RaftTrail(
                new RaftTrailOptions(votes, options.SnapshotEntries, options.SnapshotBytes), journal, membership, all, applier, failed)
            {
                Incarnation = (ulong)identity.Incarnation,
            };
            long term = ((IPersistentState)trail).Term;
            if (term < journal.LastTerm)
            {
                throw new JournalException(
                    $"{options.Directory}: the vote file knows term {term}, the journal {journal.LastTerm}: the vote file is missing or older. This node's disk counts as wiped.");
            }

            MemberCalls calls = new(transport, time);
            Candidacies candidacies = new(identity.NodeId, options.Timers, time, Random.Shared);
            ElectionCalls elections = new(identity.NodeId, identity.Incarnation, transport, candidacies, options.Timers, time);
            RaftNode node = new(self, options.Timers, trail, membership, calls, elections, time, logger)
            {
                LogWritten = () => journal.Written,
                LogRoom = () => Math.Min(options.RetainedBytesMax, new DriveInfo(options.Directory).AvailableFreeSpace / 2),
            };
            return new RunningLog(
                identity, all, applier, membership, journal, given is null, trail, node, new SnapshotIntake(StagedSnapshot.PathIn(votes), node));
        }
        catch
        {
            if (trail is not null)
            {
                await trail.DisposeAsync();
            }

            if (given is null)
            {
                journal.Dispose();
            }

            throw;
        }
    }

    /// <summary>Puts the states together with the journal, ends what a crash has interrupted, and checks that they fit.</summary>
    /// <exception cref="JournalException">The disk counts as wiped.</exception>
    public static async Task<ReplicatedStates> SettleAsync(ClusterNodeOptions options, ClusterNodeStates states, EntryJournal journal, CancellationToken token)
    {
        ReplicatedStates all = new(new ClusterState(Path.Combine(options.Directory, "cluster")), states.Application, states.Store);
        await FinishInstallationAsync(journal, all, Path.Combine(options.Directory, "vote"), token);
        journal.Begin(all.AppliedIndex);
        return all.Cluster.AppliedIndex >= journal.Mark.Index
            ? all
            : throw new JournalException(
                $"{options.Directory}: the cluster's state ends at entry {all.Cluster.AppliedIndex}, but the journal has forgotten everything up to {journal.Mark.Index}. This node's disk counts as wiped.");
    }

    /// <summary>Answers a follower that brings commands: incarnation that they are for (4), their number (4), and they (length and bytes).</summary>
    public async ValueTask<ReadOnlyMemory<byte>> AnswerProposalAsync(FrameReader frame)
    {
        if (frame.Int() != Node.Self.Port || !Node.Leads)
        {
            return new[] { (byte)FrameAnswer.NotLeader };
        }

        int count = frame.Int();
        ForwardedCommands forwarded = new(frame.Bytes(), count);
        if (!LogEntryFormat.AreCommands(forwarded.Commands, count))
        {
            throw new InvalidDataException("A frame of proposals does not hold commands.");
        }

        if (Forward?.Invoke(forwarded) != true)
        {
            return new[] { (byte)FrameAnswer.Busy };
        }

        (long index, long term) = await forwarded.Task;
        using FrameWriter answer = new();
        return index == 0
            ? new[] { (byte)FrameAnswer.NotLeader }
            : answer.Byte((byte)FrameAnswer.Done).Long(index).Long(term).ToArray();
    }

    /// <summary>Answers what concerns leadership.</summary>
    public async ValueTask<ReadOnlyMemory<byte>> AnswerLeadAsync(FrameReader frame, CancellationToken token)
    {
        LeadFrame kind = (LeadFrame)frame.Byte();
        if (frame.Int() != Node.Self.Port)
        {
            return new[] { (byte)FrameAnswer.Unavailable };
        }

        return Lead is { } lead ? await lead(kind, frame, token) : new[] { (byte)FrameAnswer.Unavailable };
    }

    /// <summary>Completes when an entry is applied here.</summary>
    public ValueTask WaitForApplyAsync(long index, CancellationToken token) => ((IAuditTrail)Trail).WaitForApplyAsync(index, token);

    public async ValueTask DisposeAsync()
    {
        await Node.StopAsync(CancellationToken.None);
        await Node.DisposeAsync();
        await Trail.DisposeAsync();
        Intake.Dispose();
        if (_ownsJournal)
        {
            _journal.Dispose();
        }
    }

    // A crash in the middle of an installation leaves some states replaced and others not.
    private static async Task FinishInstallationAsync(EntryJournal journal, ReplicatedStates states, string votes, CancellationToken token)
    {
        string path = StagedSnapshot.PathIn(votes);
        if (!File.Exists(path))
        {
            return;
        }

        if (journal.Installing is null)
        {
            File.Delete(path);
            return;
        }

        FileStream staged = new(path, new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Read, Options = FileOptions.Asynchronous });
        await using (staged)
        {
            await SnapshotFormat.CheckAsync(staged, token);
            await states.LoadSnapshotAsync(staged, CancellationToken.None);
        }
    }
}
