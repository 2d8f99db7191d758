using System.Buffers;
using System.Buffers.Binary;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// The commands that will share an entry, encoded as they come, and those who wait for them. A batch is given to the log,
/// or to the leader, as often as it takes. Adding is for one thread at a time, and ends before the batch is sealed.
/// </summary>
internal sealed class ProposalBatch
{
    private const int CompletedTogether = 32;

    private readonly List<Proposal> _proposals = [];
    private readonly List<int> _offsets = [];
    private readonly Action _ended;
    private List<ForwardedCommands>? _forwarded;
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(4096);
    private int _length = LogEntryFormat.HeaderSize;
    private int _waiting;
    private bool _isDecided;

    public ProposalBatch() => _ended = () => Interlocked.Decrement(ref _waiting);

    /// <summary>Commands so far.</summary>
    public int Count { get; private set; }

    /// <summary>Callers of this node so far.</summary>
    public int ProposalCount => _proposals.Count;

    /// <summary>Number of the first caller's command, if they are numbered; the others' follow. 0 if they are not.</summary>
    public ulong FirstSequence { get; private set; }

    /// <summary>Number after the last caller's.</summary>
    public ulong EndSequence => FirstSequence + (ulong)_proposals.Count;

    /// <summary>Bytes so far, with headers.</summary>
    public int Length => _length;

    /// <summary>Whether it has been given to anybody.</summary>
    public bool IsSent { get; private set; }

    /// <summary>Whether nobody of this node waits for it any more.</summary>
    public bool IsOver => Volatile.Read(ref _waiting) == 0;

    /// <summary>The encoded entry; valid after <see cref="Seal"/> and until <see cref="Release"/>.</summary>
    public ReadOnlyMemory<byte> Entry => _buffer.AsMemory(0, _length);

    /// <summary>The encoded commands without the entry's header; valid until <see cref="Release"/>.</summary>
    public ReadOnlyMemory<byte> Commands => _buffer.AsMemory(LogEntryFormat.HeaderSize, _length - LogEntryFormat.HeaderSize);

    /// <summary>A caller's place in it; to be added next.</summary>
    /// <param name="mayWait">Whether its command may wait for others.</param>
    public Proposal NewProposal(bool mayWait)
    {
        Interlocked.Increment(ref _waiting);
        return new Proposal(mayWait, _ended);
    }

    /// <summary>Copies a caller's command into the entry.</summary>
    public void Add(Proposal proposal, in LoggedCommand command)
    {
        if (_proposals.Count == 0)
        {
            FirstSequence = command.Sequence;
        }

        _proposals.Add(proposal);
        _offsets.Add(_length);
        Add(command);
    }

    /// <summary>Copies a command that nobody waits for into the entry.</summary>
    public void Add(in LoggedCommand command)
    {
        Reserve(LogEntryFormat.CommandHeaderSize + command.Body.Length);
        _length += LogEntryFormat.WriteCommand(_buffer.AsSpan(_length), command);
        Count++;
    }

    /// <summary>Copies another node's commands into the entry.</summary>
    public void Add(ForwardedCommands forwarded)
    {
        (_forwarded ??= []).Add(forwarded);
        Reserve(forwarded.Commands.Length);
        forwarded.Commands.Span.CopyTo(_buffer.AsSpan(_length));
        _length += forwarded.Commands.Length;
        Count += forwarded.Count;
    }

    /// <summary>Gives the entry its stamp.</summary>
    public void Seal(long stamp) => LogEntryFormat.WriteHeader(_buffer, stamp, Count);

    /// <summary>
    /// To be called before the batch is first given to anybody: from then on its commands may be committed, but for those
    /// whose callers have been told the contrary, which are made to do nothing.
    /// </summary>
    public void Send()
    {
        if (IsSent)
        {
            return;
        }

        IsSent = true;
        for (int i = 0; i < _proposals.Count; i++)
        {
            if (!_proposals[i].TrySend())
            {
                Span<byte> command = _buffer.AsSpan(_offsets[i]);
                command[0] = (byte)CommandTarget.Cluster;
                int length = BinaryPrimitives.ReadInt32LittleEndian(command[17..]);
                command.Slice(LogEntryFormat.CommandHeaderSize, length).Clear();
            }
        }
    }

    /// <summary>Answers each proposal with what the state said.</summary>
    /// <param name="index">Of the entry.</param>
    /// <param name="term">Of the entry.</param>
    /// <param name="incarnation">This node's.</param>
    /// <param name="commands">All commands of the entry.</param>
    /// <param name="answers">A slot for each of them.</param>
    /// <param name="finished">For each, whether it was not applied and nothing is known of it.</param>
    public void Applied(
        long index, long term, ulong incarnation, IReadOnlyList<LoggedCommand> commands, ReadOnlySpan<ReadOnlyMemory<byte>> answers, ReadOnlySpan<bool> finished)
    {
        if (Interlocked.Exchange(ref _isDecided, true))
        {
            return;
        }

        int next = 0;
        for (int i = 0; i < answers.Length; i++)
        {
            LoggedCommand command = commands[i];
            if (command.Incarnation != incarnation)
            {
                continue;
            }

            // Numbered commands are known by their numbers; the others are in the order in which they were added.
            int place = FirstSequence == 0 ? next++ : (int)Math.Min(command.Sequence - FirstSequence, int.MaxValue);
            if (place < _proposals.Count)
            {
                _proposals[place].Decide(finished[i]
                    ? new ProposalResult(ProposalOutcome.Unknown, 0, default, "The log has finished with this command.")
                    : new ProposalResult(ProposalOutcome.Applied, index, answers[i]));
            }
        }

        CompleteAll((index, term));
    }

    /// <summary>Answers the proposals if they have no answer yet.</summary>
    public void Failed(ProposalOutcome outcome, string reason)
    {
        if (Interlocked.Exchange(ref _isDecided, true))
        {
            return;
        }

        foreach (Proposal proposal in _proposals)
        {
            proposal.Decide(new ProposalResult(outcome, 0, default, reason));
        }

        CompleteAll((0, 0));
    }

    /// <summary>Tells other nodes that their commands have to look for another leader.</summary>
    public void ReturnForwarded()
    {
        foreach (ForwardedCommands forwarded in _forwarded ?? [])
        {
            forwarded.TrySetResult((0, 0));
        }
    }

    /// <summary>Gives the memory back.</summary>
    public void Release()
    {
        byte[] buffer = Interlocked.Exchange(ref _buffer, []);
        if (buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Reserve(int bytes)
    {
        int needed = _length + bytes;
        if (needed > _buffer.Length)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, 2 * _buffer.Length));
            _buffer.AsSpan(0, _length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }
    }

    // Many proposals are one item of the thread pool: waking a thread for each costs more than what each then does.
    private void CompleteAll((long Index, long Term) place)
    {
        foreach (ForwardedCommands forwarded in _forwarded ?? [])
        {
            forwarded.TrySetResult(place);
        }

        for (int start = 0; start < _proposals.Count; start += CompletedTogether)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static part => part.Batch.Complete(part.Start), (Batch: this, Start: start), preferLocal: true);
        }
    }

    // First those whose clients wait: what the others go on with, a delivery as a rule, takes its time.
    private void Complete(int start)
    {
        List<Proposal> part = _proposals.GetRange(start, Math.Min(CompletedTogether, _proposals.Count - start));
        foreach (Proposal proposal in part)
        {
            if (!proposal.MayWait)
            {
                proposal.Complete();
            }
        }

        foreach (Proposal proposal in part)
        {
            proposal.Complete(); // Again makes no difference.
        }
    }
}
