namespace Quorumail.Cluster.Log;

/// <summary>
/// Which proposals of one incarnation have been applied: everything below <see cref="Lowest"/> is finished with, and for
/// those above it the answers are kept, so that a retry finds the answer instead of being applied again. Part of the
/// replicated state: equal logs make equal windows. Nothing in it expires by time.
/// </summary>
internal sealed class ProposalWindow
{
    /// <summary>Proposals that one incarnation may have open at once; a proposer keeps within it.</summary>
    public const int MaxWidth = 1 << 17;

    private const int Unused = -1;
    private const int Unanswered = -2;

    private Slot[] _slots = NewSlots(64);
    private ulong _next;

    /// <summary>Starts a window at a number.</summary>
    public ProposalWindow(ulong lowest)
    {
        Lowest = lowest;
        _next = lowest;
    }

    /// <summary>Numbers below are finished with: nobody waits for them, and none of them is applied any more.</summary>
    public ulong Lowest { get; private set; }

    /// <summary>
    /// Whether a proposal is to be applied; from then on it counts as applied. If it was before, gives the answer: nothing for
    /// one that is finished with, or whose answer this node has not seen.
    /// </summary>
    public bool TryBegin(ulong sequence, out ReadOnlyMemory<byte>? answer)
    {
        answer = Answer(sequence);
        if (sequence < Lowest || (sequence < _next && SlotOf(sequence).Length != Unused))
        {
            return false;
        }

        if (sequence - Lowest >= MaxWidth)
        {
            Forget(sequence - MaxWidth + 1);
        }

        Grow(sequence);
        SlotOf(sequence) = new Slot(Unanswered, 0, null);
        return true;
    }

    /// <summary>The answer that is kept for a proposal.</summary>
    public ReadOnlyMemory<byte>? Answer(ulong sequence)
    {
        if (sequence >= Lowest && sequence < _next && SlotOf(sequence) is { Length: >= 0 } slot)
        {
            return slot.ToMemory();
        }

        return null; // Not as one expression: there, null would become an empty answer.
    }

    /// <summary>Keeps the answer to a proposal that <see cref="TryBegin"/> let through.</summary>
    public void Answered(ulong sequence, ReadOnlyMemory<byte> answer)
    {
        if (sequence >= Lowest && sequence < _next)
        {
            SlotOf(sequence) = Slot.From(answer);
        }
    }

    /// <summary>Gives up the answers below a number, because nobody waits for them.</summary>
    public void Forget(ulong lowest)
    {
        if (lowest <= Lowest)
        {
            return;
        }

        if (lowest >= _next)
        {
            _slots.AsSpan().Fill(new Slot(Unused, 0, null));
            _next = lowest;
        }
        else
        {
            for (ulong sequence = Lowest; sequence < lowest; sequence++)
            {
                SlotOf(sequence) = new Slot(Unused, 0, null);
            }
        }

        Lowest = lowest;
    }

    /// <summary>The proposals above the mark that have been applied, in order, with the answers that this node has seen.</summary>
    public IEnumerable<(ulong Sequence, ReadOnlyMemory<byte>? Answer)> Applied()
    {
        for (ulong sequence = Lowest; sequence < _next; sequence++)
        {
            if (SlotOf(sequence).Length != Unused)
            {
                yield return (sequence, Answer(sequence));
            }
        }
    }

    private static Slot[] NewSlots(int count)
    {
        Slot[] slots = new Slot[count];
        slots.AsSpan().Fill(new Slot(Unused, 0, null));
        return slots;
    }

    private ref Slot SlotOf(ulong sequence) => ref _slots[(int)(sequence & (ulong)(_slots.Length - 1))];

    private void Grow(ulong sequence)
    {
        if (sequence < _next)
        {
            return;
        }

        int width = (int)(sequence - Lowest) + 1;
        if (width > _slots.Length)
        {
            Slot[] old = _slots;
            _slots = NewSlots((int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)width));
            for (ulong moved = Lowest; moved < _next; moved++)
            {
                SlotOf(moved) = old[(int)(moved & (ulong)(old.Length - 1))];
            }
        }

        _next = sequence + 1;
    }

    // Most answers are a few bytes: they need no object of their own.
    private readonly record struct Slot(int Length, ulong Small, byte[]? Large)
    {
        public static Slot From(ReadOnlyMemory<byte> answer)
        {
            if (answer.Length > sizeof(ulong))
            {
                return new Slot(answer.Length, 0, answer.ToArray());
            }

            ulong small = 0;
            for (int i = answer.Length - 1; i >= 0; i--)
            {
                small = (small << 8) | answer.Span[i];
            }

            return new Slot(answer.Length, small, null);
        }

        public ReadOnlyMemory<byte> ToMemory()
        {
            if (Large is not null)
            {
                return Large;
            }

            byte[] bytes = new byte[Length];
            for (int i = 0; i < bytes.Length; i++)
            {
                bytes[i] = (byte)(Small >> (8 * i));
            }

            return bytes;
        }
    }
}
