using Quorumail.Core.Limits;

namespace Quorumail.Server.Limits;

/// <summary>How much of a limit is granted now.</summary>
/// <param name="Limit">Which limit.</param>
/// <param name="Reserved">What of its capacity the nodes' own shares are, which is never granted.</param>
/// <param name="Keys">Keys for which something is granted.</param>
/// <param name="Granted">Tokens or connections of all keys.</param>
/// <param name="Fullest">The key of which the most is granted; null for none.</param>
/// <param name="FullestGranted">How much that is.</param>
internal readonly record struct LimitUsage(LimitDefinition Limit, int Reserved, int Keys, long Granted, string? Fullest, int FullestGranted)
{
    /// <summary>With one key more. Of two that are equally full, the first by name is the fullest.</summary>
    public LimitUsage With(string key, int granted)
    {
        var isFullest = granted > FullestGranted || (granted == FullestGranted && string.CompareOrdinal(key, Fullest) < 0);
        return this with
        {
            Keys = Keys + 1,
            Granted = Granted + granted,
            Fullest = isFullest ? key : Fullest,
            FullestGranted = isFullest ? granted : FullestGranted,
        };
    }
}
