namespace Quorumail.Core.Smtp;

/// <summary>What <see cref="MessageReader.Read"/> found.</summary>
public enum MessageRead
{
    /// <summary>All input is used up and the message, or the chunk, goes on.</summary>
    NeedInput = 0,

    /// <summary>Octets of the message, decoded.</summary>
    Piece = 1,

    /// <summary>The header section has ended; the empty line after it comes with the next piece.</summary>
    HeaderEnd = 2,

    /// <summary>The final dot line, or the end of the chunk.</summary>
    End = 3,
}
