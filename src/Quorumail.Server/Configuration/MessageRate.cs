using System.Globalization;

namespace Quorumail.Server.Configuration;

/// <summary>So many messages in a window of time, written "1000/1h"; the default is no limit.</summary>
/// <param name="Count">Messages; 0 for no limit.</param>
/// <param name="Window">The window.</param>
public readonly record struct MessageRate(int Count, TimeSpan Window)
{
    /// <summary>Whether there is no limit.</summary>
    public bool IsNone => Count == 0;

    public override string ToString() =>
        IsNone ? "" : string.Create(CultureInfo.InvariantCulture, $"{Count}/{ConfigValueText.WriteDuration(Window)}");
}
