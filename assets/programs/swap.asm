; A constant-product market of tokens 0 and 1 with a fee of 3 in 1,000.
; slot 0 and 1 = reserves; slot H2(account, token) = what an account has deposited.
; Reserves and deposits are put in by the genesis, below 2^100: no product wraps in the field.
; arguments: r1 = token paid in, r2 = amount in, r3 = amount out
const r7 1
sub r4 r7 r1         ; token paid out
mul r7 r1 r4
jnz r7 revert        ; the token is neither 0 nor 1
hash r5 r0 r1
load r6 [r5]
sub r6 r6 r2
lt r7 r2 r6          ; both below 2^128, or the deposit is too small: reverts
store [r5] r6
hash r5 r0 r4
load r6 [r5]
add r6 r6 r3
store [r5] r6
load r5 [r1]         ; x, reserve of the token paid in
load r6 [r4]         ; y, reserve of the token paid out
mul r7 r5 r6
const r0 1000
mul r7 r7 r0         ; 1000 x y
add r5 r5 r2
store [r1] r5
sub r6 r6 r3
store [r4] r6
lt r4 r3 r6          ; both below 2^128, or more goes out than there is: reverts
mul r5 r5 r0
const r0 3
mul r0 r0 r2
sub r5 r5 r0
mul r5 r5 r6         ; (1000 (x + in) - 3 in) (y - out)
lt r7 r5 r7
jnz r7 revert        ; the product would fall
mov r0 r3
halt
