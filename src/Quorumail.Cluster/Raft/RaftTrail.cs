using System.Net;
using DotNext.IO;
using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// The engine's log, kept in our <see cref="EntryJournal"/>. The engine lets no foreign class be its persistent state, so
/// this derives from its own log, of which only the file with term and vote is used, and implements the log's members
/// again. See docs/decisions/journal.md.
/// </summary>
internal sealed partial class RaftTrail : WriteAheadLog, IAuditTrail<IRaftLogEntry>
{
    private readonly RaftTrailOptions _options;
    private readonly EntryJournal _journal;
    private readonly ReplicatedStates _states;
    private readonly StateApplier _applier;
    private readonly Action<Exception> _failed;

    // Guards the indexes' waiters. An object, because the applying thread waits on it.
    private readonly object _gate = new();
    private readonly List<(long Index, TaskCompletionSource Waiter)> _waiters = [];
    private readonly List<Retention> _retained = [];

    // The entries that set the members and are not applied yet, in order.
    private readonly List<(long Index, long Term, MemberSet Members)> _configurations = [];

    // Held while entries are put at the end of the journal.
    private readonly Lock _appending = new();

    // Held while the state is being changed: by the applying thread, or by the installation of a snapshot.
    private readonly SemaphoreSlim _applying = new(1);
    private readonly Thread _thread;
    private long _commitIndex;
    private long _appliedIndex;
    private (long Index, long Term) _heardCommitted;
    private long _nextFlushIndex;
    private long _flushedBytes;
    private Task _flushing = Task.CompletedTask;

    // Entries up to which the log may forget, for their stamps are known: the mark's, and those at which a flush began.
    private readonly List<(long Index, long Stamp)> _stamps = [];

    private Exception? _failure;
    private bool _started;
    private bool _stopping;

    public RaftTrail(
        RaftTrailOptions options, EntryJournal journal, MembershipFile membership, ReplicatedStates states, StateApplier applier, Action<Exception> failed)
        : base(new Options { Location = options.VoteDirectory, ChunkSize = 4096 }, IStateMachine.CreateNoOp())
    {
        Disk.Fsync.Directory(options.VoteDirectory);
        Disk.Fsync.Directory(Path.GetDirectoryName(Path.GetFullPath(options.VoteDirectory))!);
        _options = options;
        _journal = journal;
        _states = states;
        _applier = applier;
        _failed = failed;
        ConfigurationStorage = membership;
        JournalMark mark = journal.Mark;
        applier.StartAt(mark.Index, mark.Stamp);
        _stamps.Add((mark.Index, mark.Stamp));
        _appliedIndex = mark.Index;
        _commitIndex = Math.Max(mark.Index, Math.Min(states.AppliedIndex, journal.LastIndex));
        _nextFlushIndex = mark.Index + options.SnapshotEntries;
        foreach (long index in journal.ConfigurationsAfter(Math.Max(mark.Index, membership.Version)))
        {
            JournalEntry entry = journal.Read(index);
            _configurations.Add((index, entry.Term, MemberSet.Decode(entry.Payload.Span)));
        }

        _thread = new Thread(ApplyUntilStopped) { IsBackground = true, Name = "apply" };
        _ = WatchJournalAsync();
    }

    /// <summary>Told of each entry applied that another node's proposer, or an earlier leader of this log, wrote.</summary>
    public ForeignEntryApplied? ForeignApplied { get; set; }

    /// <summary>This node's incarnation: whose commands are answered here.</summary>
    public ulong Incarnation { get; set; }

    /// <summary>Whether this node is the only member: then its entries are applied where they were made durable.</summary>
    public bool IsAlone { get; set; } = true;

    /// <summary>Told when <see cref="NextMembers"/> has changed by other than applying. Must not block.</summary>
    public Action? NextMembersChanged { get; set; }

    /// <summary>
    /// The members that the last entry of the log that sets them names, and its term; nothing if that entry is applied. They
    /// need not become the members: the entry may not be committed yet, and be replaced by another leader's.
    /// </summary>
    public (long Term, IReadOnlySet<EndPoint> Members)? NextMembers
    {
        get
        {
            lock (_gate)
            {
                return _configurations.Count == 0 ? null : (_configurations[^1].Term, _configurations[^1].Members.Members);
            }
        }
    }

    /// <summary>
    /// Told of each entry that this node has put at the end of its log as the leader, and of the term of the one before; the engine is
    /// told of the entry when the task ends. Must not block.
    /// </summary>
    public Func<JournalEntry, long, Task>? Appended { get; set; }

    /// <summary>Index of the last entry known to be committed.</summary>
    public long CommitIndex => Volatile.Read(ref _commitIndex);

    /// <summary>The point up to which the log has forgotten.</summary>
    public JournalMark Mark => _journal.Mark;

    /// <summary>Index of the last entry of the log, committed or not.</summary>
    public new long LastEntryIndex => _journal.LastIndex;

    bool IAuditTrail.IsLogEntryLengthAlwaysPresented => true;

    long IAuditTrail.LastCommittedEntryIndex => CommitIndex;

    long IAuditTrail.LastEntryIndex => _journal.LastIndex;

    /// <summary>Starts applying, and returns when everything that is known to be committed has been applied.</summary>
    async Task IAuditTrail.InitializeAsync(CancellationToken token)
    {
        _started = true;
        _thread.Start();
        await WaitForAppliedAsync(CommitIndex, token);
    }

    /// <summary>Commits up to an index, once this node's own disk holds it: the engine counts the leader before it has flushed.</summary>
    async ValueTask<long> IAuditTrail.CommitAsync(long endIndex, CancellationToken token)
    {
        bool isAlone = IsAlone;
        await _journal.WaitDurableAsync(endIndex, continueHere: isAlone);
        long count;
        bool here;
        lock (_gate)
        {
            count = endIndex - _commitIndex;
            if (count <= 0)
            {
                return 0;
            }

            // Where this is the only member, the next entry is proposed only when this one is applied, so the journal's thread has nothing
            // else to do. With others it has the next entries to write.
            Volatile.Write(ref _commitIndex, endIndex);
            here = _journal.IsOnWriter == isAlone && (isAlone || CanApplyHere);
        }

        Apply(here);
        return count;
    }

    ValueTask IAuditTrail.WaitForApplyAsync(long index, CancellationToken token) => new(WaitForAppliedAsync(index, token));

    ValueTask IAuditTrail.WaitForApplyAsync(CancellationToken token) =>
        new(WaitForAppliedAsync(Volatile.Read(ref _appliedIndex) + 1, token));

    /// <summary>The leader's append: returns at once; <see cref="IAuditTrail.CommitAsync"/> waits for the disk.</summary>
    async ValueTask<long> IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(TEntry entry, CancellationToken token)
    {
        if (entry is ProposalEntry proposal)
        {
            proposal.TryGetMemory(out ReadOnlyMemory<byte> content);
            (long index, long previousTerm) = AppendOwn(proposal.Term, RecordKind.Commands, content.Span, proposal.Batch);
            proposal.IsAppended = true;
            if (Appended is { } appended)
            {
                await appended(new JournalEntry(index, proposal.Term, RecordKind.Commands, content, null), previousTerm).WaitAsync(token);
            }

            return index;
        }

        ReadOnlyMemory<byte> foreign = await ContentAsync(entry, token);
        return AppendOwn(entry.Term, KindOf(entry), foreign.Span, null).Index;
    }

    async ValueTask IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(TEntry entry, long startIndex, CancellationToken token)
    {
        if (entry.IsSnapshot)
        {
            await InstallSnapshotAsync(entry, startIndex, token);
            return;
        }

        await PutAsync(entry, startIndex, token);
        await _journal.WaitDurableAsync(startIndex);
    }

    /// <summary>A follower's append: returns when everything is on the disk, for the leader counts it then.</summary>
    async ValueTask IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(
        ILogEntryProducer<TEntry> entries, long startIndex, bool skipCommitted, CancellationToken token)
    {
        long index = startIndex;
        for (; await entries.MoveNextAsync(); index++)
        {
            if (index > CommitIndex)
            {
                await PutAsync(entries.Current, index, token);
            }
            else if (!skipCommitted)
            {
                throw new InvalidOperationException($"Entry {index} is committed already.");
            }
        }

        if (index > startIndex)
        {
            // What follows says that it is durable, and does not block.
            await _journal.WaitDurableAsync(Math.Min(index - 1, _journal.LastIndex), continueHere: true);
            CommitHeard(here: false);
        }
    }

    /// <summary>Keeps everything after an index from being forgotten until the result is disposed of.</summary>
    public IDisposable Retain(long index)
    {
        Retention retention = new(this, index);
        lock (_gate)
        {
            _retained.Add(retention);
        }

        return retention;
    }

    /// <summary>
    /// The leader says that an entry is committed. If this log holds it, by index and term, then it holds everything before
    /// it too (log matching), and need not wait for the next heartbeat to say so.
    /// </summary>
    /// <param name="index">Of the entry.</param>
    /// <param name="term">Of the entry.</param>
    /// <param name="here">Whether it may be applied before the call returns.</param>
    public void HearCommitted(long index, long term, bool here)
    {
        lock (_gate)
        {
            if (index <= _heardCommitted.Index)
            {
                return;
            }

            _heardCommitted = (index, term);
        }

        CommitHeard(here);
    }

    /// <summary>
    /// Puts entries that the leader of the term in which this log is has sent behind the log's last one, if that is the one before them and no entry
    /// sets the members. False, and nothing is done, if more is needed than that.
    /// </summary>
    public bool TryAppendNext(long term, long previousIndex, long previousTerm, IReadOnlyList<JournalLogEntry> entries)
    {
        lock (_appending)
        {
            if (HasFailed || ((IPersistentState)this).Term != term || _journal.LastIndex != previousIndex || _journal.LastTerm != previousTerm
                || entries.Any(entry => entry.Term != term || entry.IsConfiguration))
            {
                return false;
            }

            foreach (JournalLogEntry entry in entries)
            {
                Append(term, RecordKind.Commands, entry.Content.Span, null);
            }

            return true;
        }
    }

    /// <summary>
    /// Waits until an entry of a term is durable. False if it is not that entry any more, or this log has gone on to another term: then whoever
    /// asks in that one has not been told of the entry, and it must not be counted in its own.
    /// </summary>
    /// <remarks>What follows runs on the journal's thread, and must not block.</remarks>
    public async ValueTask<bool> WaitDurableInTermAsync(long index, long term)
    {
        await _journal.WaitDurableAsync(index, continueHere: true);
        bool isDurable = _journal.IsDurable(index, term);
        Interlocked.MemoryBarrier();
        return isDurable && ((IPersistentState)this).Term == term;
    }

    /// <summary>All entries after one up to another, and the term of the one; null if that is more than one message holds, or forgotten.</summary>
    public (IReadOnlyList<JournalEntry> Entries, long PreviousTerm)? ReadAll(long previousIndex, long lastIndex)
    {
        if (previousIndex < _journal.Mark.Index)
        {
            return null;
        }

        List<JournalEntry> entries = _journal.ReadCopies(previousIndex + 1, lastIndex, _options.MaxReadBytes, _options.MaxReadEntries);
        return entries.Count == lastIndex - previousIndex ? (entries, _journal.TermOf(previousIndex)) : null;
    }

    /// <summary>Reads entries, bounded: the engine asks for a follower's whole backlog in one message.</summary>
    async ValueTask<TResult> IAuditTrail<IRaftLogEntry>.ReadAsync<TResult>(
        ILogEntryConsumer<IRaftLogEntry, TResult> reader, long startIndex, long endIndex, CancellationToken token)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(startIndex);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(endIndex, _journal.LastIndex);
        if (startIndex > endIndex)
        {
            return await reader.ReadAsync<IRaftLogEntry, IRaftLogEntry[]>([], null, token);
        }

        JournalMark mark = _journal.Mark;
        if (startIndex > mark.Index && reader.LogEntryMetadataOnly && startIndex == endIndex)
        {
            JournalLogEntry entry = new(_journal.TermOf(startIndex), RecordKind.Commands, default);
            return await reader.ReadAsync<IRaftLogEntry, IRaftLogEntry[]>([entry], null, token);
        }

        if (startIndex > mark.Index)
        {
            List<JournalEntry> entries = _journal.ReadCopies(startIndex, endIndex, _options.MaxReadBytes, _options.MaxReadEntries);
            if (entries.Count > 0)
            {
                BoundedEntries bounded = new(entries, isComplete: entries[^1].Index == endIndex);
                return await reader.ReadAsync<IRaftLogEntry, BoundedEntries>(bounded, null, token);
            }

            mark = _journal.Mark;
        }

        SnapshotEntry snapshot = new(mark, _states);
        return await reader.ReadAsync<IRaftLogEntry, IRaftLogEntry[]>([snapshot], mark.Index, token);
    }

    protected override async ValueTask DisposeAsyncCore()
    {
        lock (_gate)
        {
            _stopping = true;
            Monitor.Pulse(_gate);
        }

        if (_started)
        {
            _thread.Join();
        }

        await _flushing;
        await base.DisposeAsyncCore();
        FailWaiters(new ObjectDisposedException(nameof(RaftTrail)));
        _applying.Dispose();
    }

    private static async ValueTask<ReadOnlyMemory<byte>> ContentAsync<TEntry>(TEntry entry, CancellationToken token)
        where TEntry : IRaftLogEntry
    {
        if (entry.CommandId is not null)
        {
            throw new NotSupportedException("The journal has no room for the engine's command numbers; our entries have a format of their own.");
        }

        return entry.TryGetMemory(out ReadOnlyMemory<byte> content) ? content : await entry.ToByteArrayAsync(token: token);
    }

    private static RecordKind KindOf<TEntry>(TEntry entry)
        where TEntry : IRaftLogEntry =>
        entry.IsConfiguration ? RecordKind.Configuration : RecordKind.Commands;

    // The engine lets a leader append without a lock, so it may have been followed by another one meanwhile. Its entries
    // must not slip in between those of its successor.
    private (long Index, long PreviousTerm) AppendOwn(long term, RecordKind kind, ReadOnlySpan<byte> content, ProposalBatch? batch)
    {
        lock (_appending)
        {
            ThrowIfFailed();
            long previousTerm = _journal.LastTerm;
            return ((IPersistentState)this).Term == term
                ? (Append(term, kind, content, batch), previousTerm)
                : throw new TermPassedException($"Term {term} is over.");
        }
    }

    private async ValueTask PutAsync<TEntry>(TEntry entry, long index, CancellationToken token)
        where TEntry : IRaftLogEntry
    {
        if (entry.IsSnapshot)
        {
            throw new InvalidOperationException("A snapshot can't be one of several entries.");
        }

        if (index <= CommitIndex)
        {
            throw new InvalidOperationException($"Entry {index} is committed already.");
        }

        ReadOnlyMemory<byte> content = await ContentAsync(entry, token);
        lock (_appending)
        {
            ThrowIfFailed();
            ArgumentOutOfRangeException.ThrowIfGreaterThan(index, _journal.LastIndex + 1);
            if (index <= _journal.LastIndex)
            {
                if (_journal.TermOf(index) == entry.Term)
                {
                    return; // Same index and term: the same entry, sent again.
                }

                _journal.TruncateAfter(index - 1);
                ForgetConfigurations(c => c.Index >= index);
            }

            Append(entry.Term, KindOf(entry), content.Span, null);
        }
    }

    private long Append(long term, RecordKind kind, ReadOnlySpan<byte> content, ProposalBatch? batch)
    {
        if (kind != RecordKind.Configuration)
        {
            return _journal.Append(term, kind, content, batch);
        }

        MemberSet members = MemberSet.Decode(content);
        long index = _journal.Append(term, kind, content, batch);
        lock (_gate)
        {
            _configurations.Add((index, term, members));
        }

        NextMembersChanged?.Invoke();
        return index;
    }

    private void ForgetConfigurations(Predicate<(long Index, long Term, MemberSet Members)> isForgotten)
    {
        lock (_gate)
        {
            if (_configurations.RemoveAll(isForgotten) == 0)
            {
                return;
            }
        }

        NextMembersChanged?.Invoke();
    }

    private async Task InstallSnapshotAsync<TEntry>(TEntry snapshot, long index, CancellationToken token)
        where TEntry : IRaftLogEntry
    {
        if (index <= CommitIndex)
        {
            throw new InvalidOperationException($"Entry {index} is committed already; a snapshot up to it is of no use.");
        }

        ThrowIfFailed();
        if (snapshot is StagedSnapshot staged)
        {
            await InstallAsync(staged.File, index, snapshot.Term, (staged.Members, staged.MembersVersion), token);
            return;
        }

        FileStream file = StagedSnapshot.Create(StagedSnapshot.PathIn(_options.VoteDirectory));
        await using (file)
        {
            await snapshot.WriteToAsync(file, 64 << 10, token);
            await InstallAsync(file, index, snapshot.Term, null, token);
        }

        File.Delete(StagedSnapshot.PathIn(_options.VoteDirectory));
    }

    private async Task InstallAsync(FileStream staged, long index, long term, (MemberSet Set, long Version)? members, CancellationToken token)
    {
        await staged.FlushAsync(token);
        Disk.Fsync.File(staged.SafeFileHandle);
        Disk.Fsync.Directory(Path.GetDirectoryName(Path.GetFullPath(staged.Name))!);
        (long stateIndex, long stamp, _) = await SnapshotFormat.CheckAsync(staged, token);
        JournalMark mark = new(index, term, stamp, Math.Max(index, stateIndex));
        await _applying.WaitAsync(token);
        try
        {
            await _flushing;

            // No entry that is left brings the members, so they come first. They are committed: no earlier log is worse off with them.
            if (members is var (set, version))
            {
                await ConfigurationStorage!.SaveConfigurationAsync(set, version, CancellationToken.None);
            }

            // If this is interrupted, the next start does it again from the staged file.
            _journal.PrepareRestart(mark);
            await _states.LoadSnapshotAsync(staged, CancellationToken.None);
            _journal.Restart(mark);
            MoveTo(mark);
            ForgetConfigurations(static _ => true);
        }
        catch (Exception problem)
        {
            Fail(problem);
            throw;
        }
        finally
        {
            _applying.Release();
        }

        CompleteWaiters();
    }

    private void CommitHeard(bool here)
    {
        lock (_gate)
        {
            (long index, long term) = _heardCommitted;
            if (index <= _commitIndex || !_journal.IsDurable(index, term))
            {
                return;
            }

            Volatile.Write(ref _commitIndex, index);
            here &= CanApplyHere;
        }

        Apply(here);
    }

    private void MoveTo(JournalMark mark)
    {
        lock (_gate)
        {
            _applier.StartAt(mark.Index, mark.Stamp);
            _stamps.Clear();
            _stamps.Add((mark.Index, mark.Stamp));
            Volatile.Write(ref _commitIndex, mark.Index);
            Volatile.Write(ref _appliedIndex, mark.Index);
            _nextFlushIndex = mark.Index + _options.SnapshotEntries;
        }
    }

    private sealed class Retention(RaftTrail trail, long index) : IDisposable
    {
        public long Index => index;

        public void Dispose()
        {
            lock (trail._gate)
            {
                trail._retained.Remove(this);
            }
        }
    }
}
