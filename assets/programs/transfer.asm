; A token: slot = account, value = balance.
; arguments: r1 = receiver, r2 = amount
load r3 [r0]
sub r3 r3 r2
lt r7 r2 r3          ; both below 2^128, or the balance is too small: reverts
store [r0] r3
load r4 [r1]         ; after the first store: a transfer to oneself changes nothing
add r4 r4 r2
lt r7 r4 r4          ; the receiver's balance stays below 2^128
store [r1] r4
mov r0 r4
halt
