namespace Quorumail.Core.Queue;

/// <summary>What is suspended.</summary>
public enum SuspensionScope
{
    /// <summary>Mail to a domain.</summary>
    Destination = 1,

    /// <summary>Mail from an address.</summary>
    Sender = 2,
}
