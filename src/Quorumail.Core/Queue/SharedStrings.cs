namespace Quorumail.Core.Queue;

/// <summary>
/// Lets equal strings of many messages (owners, senders, replies of a dead host) share one instance. Bounded: a slot
/// per hash, the latest wins. What is shared is a matter of memory only and never of state.
/// </summary>
internal sealed class SharedStrings
{
    private const int Slots = 4096;
    private readonly string?[] _slots = new string?[Slots];

    public string Share(string text)
    {
        if (text.Length == 0)
        {
            return "";
        }

        ref var slot = ref _slots[text.GetHashCode(StringComparison.Ordinal) & (Slots - 1)];
        if (string.Equals(slot, text, StringComparison.Ordinal))
        {
            return slot!;
        }

        slot = text;
        return text;
    }

    public string? ShareOrNull(string? text) => text is null ? null : Share(text);
}
