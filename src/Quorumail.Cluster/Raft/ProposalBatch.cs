using System.Buffers;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>The commands that will share an entry, encoded as they come, and those who wait for them. Not thread-safe.</summary>
internal sealed class ProposalBatch
{
    private const int CompletedTogether = 32;

    private readonly List<Proposal> _proposals = [];
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(4096);
    private int _length = LogEntryFormat.HeaderSize;
    private bool _isDecided;

    /// <summary>Commands so far.</summary>
    public int Count => _proposals.Count;

    /// <summary>Bytes so far, with headers.</summary>
    public int Length => _length;

    /// <summary>The encoded entry; valid after <see cref="Seal"/> and until <see cref="Release"/>.</summary>
    public ReadOnlyMemory<byte> Entry => _buffer.AsMemory(0, _length);

    /// <summary>Copies a command into the entry.</summary>
    public void Add(Proposal proposal, ulong incarnation, ReadOnlyMemory<byte> command)
    {
        int needed = _length + LogEntryFormat.CommandHeaderSize + command.Length;
        if (needed > _buffer.Length)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, 2 * _buffer.Length));
            _buffer.AsSpan(0, _length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }

        _proposals.Add(proposal);
        LoggedCommand logged = new(CommandTarget.Application, incarnation, 0, command);
        _length += LogEntryFormat.WriteCommand(_buffer.AsSpan(_length), logged);
    }

    /// <summary>Gives the entry its stamp and its commands their sequence numbers.</summary>
    public void Seal(long stamp, ulong firstSequence)
    {
        LogEntryFormat.WriteHeader(_buffer, stamp, Count);
        LogEntryFormat.NumberCommands(_buffer.AsSpan(0, _length), firstSequence);
    }

    /// <summary>Answers each proposal with what the state said.</summary>
    public void Applied(long index, ReadOnlySpan<ReadOnlyMemory<byte>> answers)
    {
        if (Interlocked.Exchange(ref _isDecided, true))
        {
            return;
        }

        for (int i = 0; i < _proposals.Count; i++)
        {
            _proposals[i].Decide(new ProposalResult(ProposalOutcome.Applied, index, answers[i]));
        }

        CompleteAll();
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

        CompleteAll();
    }

    /// <summary>Gives the memory back.</summary>
    public void Release()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        _length = 0;
    }

    // Many proposals are one item of the thread pool: waking a thread for each costs more than what each then does.
    private void CompleteAll()
    {
        for (int start = 0; start < _proposals.Count; start += CompletedTogether)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static part => part.Batch.Complete(part.Start), (Batch: this, Start: start), preferLocal: false);
        }
    }

    private void Complete(int start)
    {
        for (int i = start; i < Math.Min(start + CompletedTogether, _proposals.Count); i++)
        {
            _proposals[i].Complete();
        }
    }
}
