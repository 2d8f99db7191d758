namespace Quorumail.Core.Limits;

/// <summary>A connection that a node may have open.</summary>
public sealed class HeldSlot
{
    internal HeldSlot(string limit, string key, long number, long until)
    {
        Limit = limit;
        Key = key;
        Number = number;
        Until = until;
    }

    /// <summary>Of which limit.</summary>
    public string Limit { get; }

    /// <summary>For which key.</summary>
    public string Key { get; }

    /// <summary>As the log numbers it; 0: of the node's own share, without an end.</summary>
    public long Number { get; }

    /// <summary>The end of its lease, in milliseconds of cluster time; <see cref="long.MaxValue"/> for none.</summary>
    public long Until { get; private set; }

    /// <summary>The answer to <see cref="KeepSlotCommand"/>; a lost one, null, changes nothing.</summary>
    public void Kept(LimitAnswer? answer)
    {
        if (answer is { Status: LimitStatus.Granted } granted)
        {
            Until = Math.Max(Until, granted.Until);
        }
    }
}
