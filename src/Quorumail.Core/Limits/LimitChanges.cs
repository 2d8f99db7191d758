namespace Quorumail.Core.Limits;

/// <summary>What commands have changed, so that it can be persisted; collected over any number of them.</summary>
public sealed class LimitChanges
{
    /// <summary>Limits, members or the next slot's number: <see cref="LimitState.Head"/>.</summary>
    public bool Head { get; set; }

    /// <summary>Keys whose grants have changed, perhaps to none: <see cref="LimitState.GrantsOf"/>.</summary>
    public HashSet<(string Limit, string Key)> Keys { get; } = [];

    /// <summary>Forgets all.</summary>
    public void Clear()
    {
        Head = false;
        Keys.Clear();
    }
}
